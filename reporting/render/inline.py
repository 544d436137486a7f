"""The running text of a report (emphasis, code, links) for renderers other than Markdown.

The text is parsed as CommonMark without raw HTML and images; links lead to web pages and anchors only. So text from
outside (the name of a document, an error) stays text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SPECIAL = re.compile(r"[\\`*_\[\]<>&!~]")
_SCHEMES = ("http://", "https://", "#")
_TEXT = frozenset({"text", "softbreak", "hardbreak"})
_END = Token("text", "", 0)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).disable(["image", "autolink", "html_inline"])
    parser.validateLink = lambda url: url.lower().startswith(_SCHEMES)  # type: ignore[method-assign] # its documented hook
    return parser


_PARSER = _parser()


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[Token, ...]:
    """Return the parts of a text in order; consecutive plain text is one part."""
    if not _SPECIAL.search(text):
        return (Token("text", "", 0, content=" ".join(text.split())),)
    return tuple(_PARSER.parseInline(text)[0].children or ())


def plain(text: str) -> str:
    """Return the text on one line, without mark-up."""
    return "".join(_plain(token) for token in tokens(text))


def walk(text: str, write: Callable[[str], str], marks: Callable[[Token, str], str]) -> str:
    """Translate the running text of a report.

    Args:
        text: The running text.
        write: Escapes plain text.
        marks: Translates the beginning or end of emphasis or a link, or a piece of code, given the plain text of the
            next part.
    """
    return "".join(
        write(_plain(token)) if token.type in _TEXT else marks(token, following.content)
        for token, following in pairwise((*tokens(text), _END))
    )


def _plain(token: Token) -> str:
    return " " if token.type in {"softbreak", "hardbreak"} else token.content
