"""Where the file of a finished job is: links and base64 in the answer that describes the job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

_LINKS: Final = (
    "url", "video_url", "unsigned_urls", "urls", "download_url", "content_url", "output_url", "result_url",
    "video", "videos", "output", "outputs", "result", "data", "metadata",
)  # fmt: skip
"""Fields that hold a link, a list of links, or a mapping with one."""
_INLINE: Final = ("b64_json", "video_base64", "base64", "b64")
_MOST: Final = 8
_MAX_LINK: Final = 8192
_DEPTH: Final = 4


def files_of(layers: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], str | None]:
    """Return the links and the base64 text in the mappings of a video; None: no base64."""
    links: dict[str, None] = {}
    for layer in layers:
        for link in _walk(layer, 0):
            if link.startswith("data:"):
                head, comma, inline = link.partition(",")
                if comma and head.endswith(";base64"):
                    return tuple(links), inline
            elif link.startswith(("http://", "https://", "/")) and len(link) <= _MAX_LINK:
                links.setdefault(link)
            if len(links) == _MOST:
                break
    return tuple(links), next((found for layer in layers if (found := _inline(layer, 0))), None)


def _walk(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str) and depth:
        yield value
    elif isinstance(value, list) and depth <= _DEPTH:
        for item in value[:_MOST]:
            yield from _walk(item, depth + 1)
    elif isinstance(value, dict) and depth <= _DEPTH:
        for key in _LINKS:
            if key in value:
                yield from _walk(value[key], depth + 1)


def _inline(value: Any, depth: int) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or depth > _DEPTH:
        return None
    for key in _INLINE:
        found = value.get(key)
        if isinstance(found, str) and found:
            return found
    inner = (_inline(value[key], depth + 1) for key in _LINKS if isinstance(value.get(key), dict | list))
    return next((text for text in inner if text), None)
