"""Error text of an answer, from the place where a server puts it, as one harmless line."""

from __future__ import annotations

from typing import Any, Final

from reelbench.loadgen.record.foreign_text import one_line

_KEYS: Final = (
    "error", "detail", "details", "message", "msg", "fail_reason", "failure_reason", "error_message", "reason",
    "errors", "description", "data", "metadata", "result",
)  # fmt: skip
"""Where servers write what went wrong, the most telling first."""
_CODES: Final = ("code", "error_code", "type")
_DEPTH: Final = 5


def error_text(value: Any, depth: int = 0) -> str | None:
    """Return what a decoded answer says about an error; None: nothing."""
    if depth > _DEPTH:
        return None
    if isinstance(value, str):
        return one_line(value) or None
    if isinstance(value, list):
        found = (error_text(item, depth + 1) for item in value[:3])
        return one_line("; ".join(text for text in found if text)) or None
    if not isinstance(value, dict):
        return None
    text = next((text for key in _KEYS if (text := error_text(value.get(key), depth + 1))), None)
    place = value.get("loc")  # a field that FastAPI refused
    if text and isinstance(place, list):
        return one_line(f"{'.'.join(str(part) for part in place[:8])}: {text}")
    return text


def error_code(value: Any) -> str | None:
    """Return the code of the error in a decoded answer, of any type, as text."""
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    for place in (inner, value):
        if isinstance(place, dict):
            code = next((place[key] for key in _CODES if isinstance(place.get(key), str | int)), None)
            if code is not None:
                return one_line(str(code))[:64]
    return None
