"""The running text of a report (emphasis, code, links) for renderers other than Markdown.

The text is parsed as CommonMark without raw HTML and without images; links lead to web pages and anchors only. What a
stranger wrote (a document's name, an error) therefore stays text, whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SPECIAL = re.compile(r"[\\`*_\[\]<>&!~]")
_SCHEMES = ("http://", "https://", "#")


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).disable(["image", "autolink", "html_inline"])
    parser.validateLink = lambda url: url.lower().startswith(_SCHEMES)  # type: ignore[method-assign] # its documented hook
    return parser


_PARSER = _parser()


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[Token, ...]:
    """The parts of a text in order; consecutive plain text is one part."""
    if not _SPECIAL.search(text):
        return (Token("text", "", 0, content=" ".join(text.split())),)
    return tuple(_PARSER.parseInline(text)[0].children or ())


def plain(text: str) -> str:
    """The text alone, without any mark-up; one line."""
    return "".join(_plain(token) for token in tokens(text))


def walk(
    text: str,
    write: Callable[[str], str],
    marks: Callable[[Token, str], str],
) -> str:
    """Build a text from its parts.

    Args:
        text: The running text of a report.
        write: Escapes plain text.
        marks: Gives what stands for the beginning or end of emphasis or a link, or for a piece of code; it is also told
            the plain text of the part that follows.
    """
    parts: Sequence[Token] = tokens(text)
    made = []
    for number, token in enumerate(parts):
        if token.type in {"text", "softbreak", "hardbreak"}:
            made.append(write(_plain(token)))
        else:
            following = parts[number + 1].content if number + 1 < len(parts) else ""
            made.append(marks(token, following))
    return "".join(made)


def _plain(token: Token) -> str:
    return " " if token.type in {"softbreak", "hardbreak"} else token.content
