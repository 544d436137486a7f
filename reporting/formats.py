"""The formats in which reports are written, and their names on the command line."""

from __future__ import annotations

from enum import StrEnum


class FormatError(ValueError):
    """An unknown format; the message is one sentence."""


class Format(StrEnum):
    """A format of the reports."""

    MARKDOWN = "md"
    HTML = "html"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"
    JUNIT = "junit"


DEFAULT = (Format.MARKDOWN, Format.HTML, Format.CSV, Format.JSON, Format.JUNIT)
"""Formats that the commands write by default: all but LaTeX, which draws the figures once more."""
DRAWN = frozenset({Format.MARKDOWN, Format.HTML, Format.LATEX})
"""Formats with figures."""


def formats_of(names: str) -> tuple[Format, ...]:
    """Parse names separated by commas.

    Raises:
        FormatError: a format is unknown, or no format is named.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [form.value for form in Format]
    if unknown := [name for name in wanted if name not in known]:
        raise FormatError(f"unknown format {', '.join(map(repr, unknown))}; choose from {', '.join(known)}")
    if not wanted:
        raise FormatError(f"no format is named; choose from {', '.join(known)}")
    return tuple(form for form in Format if form.value in wanted)
