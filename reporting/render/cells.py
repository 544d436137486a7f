"""Cells of a table as numbers: an interval, a count out of a total and a mark get columns of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from reelbench.reporting.document.text import NONE

_NUMBER = r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?"
_LIMITS = re.compile(rf"(?:from )?(?P<lower>{_NUMBER}|-)?(?: to (?P<upper>{_NUMBER})|, no upper limit)?")
_TOO_SMALL = "n too small for an interval"
_WITH_LIMITS = re.compile(
    rf"(?P<value>{_NUMBER}) \((?:bucket )?(?:> )?(?:from )?(?P<lower>{_NUMBER})(?: to (?P<upper>{_NUMBER}))?\)"
)
_OUT_OF = re.compile(rf"(?P<value>{_NUMBER}) of (?P<total>{_NUMBER})")
_MARKED = re.compile(rf"(?P<least>≥ )?(?P<value>{_NUMBER})(?P<star>\*)?")
_UNIT = r"[^\W\d][^\s()]*|%|/ ?[^\s()]+"
_MEASURED = re.compile(rf"(?:(?P<sign>[≤≥<>]) )?(?P<value>{_NUMBER}) (?P<unit>{_UNIT})")
_MEASURED_LIMITS = re.compile(
    rf"from (?P<least>{_NUMBER}) (?P<only>{_UNIT})"
    rf"|(?:(?P<lower>{_NUMBER}) (?P<unit>{_UNIT})|up) to (?P<upper>{_NUMBER}) (?P<last>{_UNIT})"
)
_SHARED = re.compile(rf"(?P<value>{_NUMBER}) \((?P<share>{_NUMBER}) %\)")
Cells = tuple[str, ...]


class _Form(msgspec.Struct, frozen=True):
    """A kind of cell: what its columns are called, and its parts; None for a cell of another kind."""

    names: Callable[[str], Cells]
    parts: Callable[[str], Cells | None]


def split(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Iterator[str], Iterator[Cells]]:
    """Return a table whose columns of numbers hold nothing but numbers; a column of words stays as it is.

    A missing value is an empty cell.
    """
    names: list[str] = []
    made: list[list[Cells]] = []
    for number, column in enumerate(columns):
        cells = [row[number] for row in rows]
        form = _form(cells)
        names += form.names(column)
        made.append([form.parts(cell) or (cell,) for cell in cells])
    return iter(names), (tuple(part for cell in row for part in cell) for row in zip(*made, strict=True))


def _form(cells: Sequence[str]) -> _Form:
    there = [cell for cell in cells if cell != NONE]
    if not there:
        return _WORDS
    if not any(re.search(r"\d", cell) for cell in there):
        return _WORDS
    return next((form for form in _FORMS if all(form.parts(cell) for cell in cells)), _WORDS)


def _plain(number: str | None) -> str:
    return (number or "").replace(",", "").removeprefix("+") if number != NONE else ""


def _marked(cell: str) -> Cells | None:
    if cell == NONE:
        return ("",)
    found = _MARKED.fullmatch(cell)
    return (_plain(found["value"]),) if found and not found["least"] and not found["star"] else None


def _starred(cell: str) -> Cells | None:
    if cell == NONE:
        return ("", "")
    found = _MARKED.fullmatch(cell)
    return (_plain(found["value"]), "yes" if found["least"] or found["star"] else "no") if found else None


def _limits(cell: str) -> Cells | None:
    if cell in {NONE, _TOO_SMALL}:
        return ("", "")
    found = _LIMITS.fullmatch(cell)
    if found is None or not (found["lower"] or found["upper"]):
        return None
    return _plain(found["lower"]), _plain(found["upper"])


def _with_limits(cell: str) -> Cells | None:
    if cell == NONE:
        return ("", "", "")
    found = _WITH_LIMITS.fullmatch(cell)
    return (_plain(found["value"]), _plain(found["lower"]), _plain(found["upper"])) if found else None


def _out_of(cell: str) -> Cells | None:
    if cell == NONE:
        return ("", "")
    found = _OUT_OF.fullmatch(cell)
    return (_plain(found["value"]), _plain(found["total"])) if found else None


def _shared(cell: str) -> Cells | None:
    if cell == NONE:
        return ("", "")
    found = _SHARED.fullmatch(cell)
    return (_plain(found["value"]), _plain(found["share"])) if found else None


def _measured(cell: str) -> Cells | None:
    if cell == NONE:
        return ("", "")
    found = _MEASURED.fullmatch(cell)
    return (_plain(found["value"]), found["unit"]) if found and not found["sign"] else None


def _bound(cell: str) -> Cells | None:
    if cell == NONE:
        return ("", "", "")
    found = _MEASURED.fullmatch(cell)
    return (found["sign"], _plain(found["value"]), found["unit"]) if found and found["sign"] else None


def _measured_limits(cell: str) -> Cells | None:
    """Limits of one unit each; words in place of limits, such as why there are none, get the last column."""
    if cell == NONE:
        return ("", "", "", "")
    found = _MEASURED_LIMITS.fullmatch(cell)
    if found is None:
        return None if re.search(r"\d", cell) else ("", "", "", cell)
    if found["least"]:
        return (_plain(found["least"]), "", found["only"], "")
    if found["unit"] not in {None, found["last"]}:
        return None
    return (_plain(found["lower"]), _plain(found["upper"]), found["last"], "")


_WORDS = _Form(lambda name: (name,), lambda cell: (cell,))
_FORMS = (
    _Form(lambda name: (name,), _marked),
    _Form(lambda name: (name, f"{name}: of"), _out_of),
    _Form(lambda name: (name.replace(" (95 % CI)", ""), f"{name}: lower", f"{name}: upper"), _with_limits),
    _Form(lambda name: (name, f"{name}: open above"), _starred),
    _Form(lambda name: (f"{name}: lower", f"{name}: upper"), _limits),
    _Form(lambda name: (name, f"{name}: %"), _shared),
    _Form(lambda name: (name, f"{name}: unit"), _measured),
    _Form(lambda name: (f"{name}: sign", name, f"{name}: unit"), _bound),
    _Form(lambda name: (f"{name}: lower", f"{name}: upper", f"{name}: unit", f"{name}: remark"), _measured_limits),
)
"""Kinds of cells, the simplest first."""
