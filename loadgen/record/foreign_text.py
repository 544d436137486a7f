"""Text from outside (servers, files, run folders) that cannot act on a terminal or change the order of other text."""

from __future__ import annotations

import re
from typing import Final

_ACTIVE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Control characters of ASCII and of C1, which begin the escapes of terminals; marks of direction, invisible characters
and tags, which show a text other than it is; half surrogates. The joiners of scripts, U+200C and U+200D, stay."""
MAX_LINE: Final = 200


def harmless(text: str) -> str:
    """Return the text with a space for each such character; tabs and line breaks stay."""
    return _ACTIVE.sub(" ", text)


def one_line(text: str, most: int = MAX_LINE) -> str:
    """Return the text as one line of bounded length, with printable characters alone."""
    text = text[: 8 * most]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
