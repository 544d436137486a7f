"""Text that others wrote, made harmless for the running text of a report."""

from __future__ import annotations

import re

_MARKS = re.compile(r"[\\`*\[\]<>&~]|(?<![^\W_])_|_(?![^\W_])")
_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f]+")


def literal(text: str) -> str:
    """Escape what Markdown would take for mark-up, and put the text on one line."""
    return _MARKS.sub(lambda found: f"\\{found[0]}", _UNSEEN.sub(" ", text).strip())
