"""What a downloaded file is, by its first bytes."""

from __future__ import annotations

from typing import Final

START: Final = 32
"""Bytes that are looked at."""
_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"moof", b"styp", b"pnot"})
_VIDEOS: Final = (b"\x1a\x45\xdf\xa3", b"GIF8", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"OggS", b"FLV\x01")
"""WebM and Matroska, GIF, MPEG program stream and video, Ogg, Flash."""
_IMAGES: Final = {b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image"}


def is_video(start: bytes) -> bool:
    """Return whether these are the first bytes of a video."""
    if start[4:8] in _BOXES or start.startswith(_VIDEOS):
        return True
    if start.startswith(b"RIFF"):
        return start[8:12] in {b"AVI ", b"WEBP"}
    return len(start) > 1 and start[0] == 0x47 and start[1] & 0x80 == 0  # noqa: PLR2004 - an MPEG transport stream


def problem(media_type: str, start: bytes, size: int) -> str | None:
    """Return why a complete download is no video; None: it may be one.

    Args:
        media_type: as the server says.
        start: the first `START` bytes.
        size: bytes in all.
    """
    if size == 0:
        return "content is empty"
    if is_video(start):
        return None
    text = start.lstrip()
    if text.startswith((b"<", b"{", b"[")):
        what = "markup" if text.startswith(b"<") else "JSON"
        return f"content is {what} of type {media_type}, not a video"
    if media_type.startswith("video/"):
        return None  # the container is one that is not known here
    image = next((name for mark, name in _IMAGES.items() if start.startswith(mark)), None)
    return f"content is {image or media_type or 'of no type'}, not a video"
