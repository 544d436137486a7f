"""The summary of a run as plain lines, at most 30, for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from reelbench.reporting.document import text
from reelbench.reporting.results import summary_words as words
from reelbench.reporting.results.summary import Summary

MOST = 30
FINDINGS, PROBLEMS = 4, 2
_MARKS = re.compile(r"[*`]")
_LINE, _CELL = 200, 60


def lines(summary: Summary) -> tuple[str, ...]:
    """Return the verdict last, so it is what stays in sight; without colours and with every line ending in text."""
    return tuple(line.rstrip() for line in _lines(summary))[:MOST]


def _lines(summary: Summary) -> Iterator[str]:
    yield from _why(summary)
    if summary.actions:
        yield "What to do:"
        yield from (f"  {number}. {_plain(action)}" for number, action in enumerate(summary.actions, 1))
    if summary.figures:
        yield "Figures:"
        rows = [(f"  {one.name}", words.figure(one), words.limits(one), one.where) for one in summary.figures]
        yield from _table(rows)
    if summary.change is not None:
        yield _plain(f"Against {summary.change.baseline}: {summary.change.sentence}")
    for one in summary.dimensions:
        counts = "; ".join(f"{name}: {number}" for name, number in one.by_certainty.items())
        objectives = text.counted(one.objectives, "objective")
        yield f"{one.name}: {one.verdict} ({'; '.join(filter(None, (objectives, counts)))})"
    yield _plain(f"{summary.verdict}: {summary.sentence}")


def _why(summary: Summary) -> Iterator[str]:
    if not summary.findings and not summary.problems and not summary.notes:
        return
    yield "Why:"
    rows = [
        (f"  {words.verdict(one)}", one.title, words.place(one), words.value(one), words.objective(one), one.excess)
        for one in summary.findings[:FINDINGS]
    ]
    for row, one in zip(_table(rows), summary.findings, strict=False):
        yield row
        yield _plain(f"    {one.why}")
    if (rest := len(summary.findings) - FINDINGS) > 0:
        yield f"  {rest} more in the reports"
    yield from (f"  {_plain(problem)}" for problem in summary.problems[:PROBLEMS])
    if (rest := len(summary.problems) - PROBLEMS) > 0:
        yield f"  {rest} more reasons in the reports"
    yield from (f"  {_plain(note)}" for note in summary.notes[: max(0, PROBLEMS - len(summary.problems))])


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows with aligned columns; tabulate strips the indentation, so it is put back."""
    stripped = [tuple(words.clipped(cell, _CELL) for cell in row) for row in rows]
    return [f"  {line}" for line in tabulate(stripped, tablefmt="plain", disable_numparse=True).splitlines()]


def _plain(words_: str) -> str:
    indent = len(words_) - len(words_.lstrip())
    return " " * indent + words.clipped(_MARKS.sub("", words_), _LINE)
