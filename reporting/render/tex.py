"""Text for LaTeX: everything escaped, so that what a stranger wrote is printed and never run."""

from __future__ import annotations

from markdown_it.token import Token

from reelbench.reporting.render.inline import walk

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # behind the end of a row they would be its arguments
    "\u2013": r"\textendash{}", "\u2014": r"\textemdash{}", "\u2026": r"\ldots{}", "\u2019": "'", "\u00a0": "~",
    "\u00d7": r"$\times$", "\u00b1": r"$\pm$", "\u00b5": r"\textmu{}", "\u00b0": r"\textdegree{}",
    "\u2264": r"$\leq$", "\u2265": r"$\geq$", "\u2192": r"$\rightarrow$", "\u00b2": r"\textsuperscript{2}",
}  # fmt: skip
_BREAK_EVERY = 8
"""Characters of long code after which a line may end: hashes have no spaces."""
_LONG = 24
_COMMANDS = {"strong": "textbf", "em": "emph"}


def escape(text: str) -> str:
    """A text as LaTeX prints it; characters that pdfLaTeX's fonts lack are named by their number.

    Hyphens in a row are kept apart, as two of them would become a dash.
    """
    return "".join(_character(character) for character in text).replace("--", "-{}-").replace("--", "-{}-")


def rich(text: str) -> str:
    """Running text of a report with its emphasis, code and links."""
    return walk(text, escape, _marks)


def code(text: str) -> str:
    """A text in typewriter letters; long ones may be broken."""
    if len(text) <= _LONG:
        return rf"\texttt{{{_code(text)}}}"
    pieces = [text[start : start + _BREAK_EVERY] for start in range(0, len(text), _BREAK_EVERY)]
    broken = r"\allowbreak{}".join(map(_code, pieces))
    return rf"\texttt{{{broken}}}"


def _marks(token: Token, _following: str) -> str:
    if token.type == "code_inline":
        return code(token.content)
    kind, _, end = token.type.rpartition("_")
    if end == "close":
        return "}"
    if kind == "link":
        href = str(token.attrGet("href"))
        address = "".join(f"\\{c}" if c in "#%&_{}$^~\\" else c for c in href)
        return rf"\href{{{address}}}{{"
    return rf"\{_COMMANDS[kind]}{{"


def _code(text: str) -> str:
    return escape(text).replace("'", r"\textquotesingle{}")


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~" or ("\u00c0" <= character <= "\u00ff" and character.isalpha()):
        return character
    if character.isspace() or not character.isprintable():
        return " "
    return rf"\texttt{{U+{ord(character):04X}}}"
