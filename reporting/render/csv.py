"""Results and tables as CSV, without cells that a spreadsheet would compute as formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

import msgspec

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.document.report import Report
from reelbench.reporting.document.text import NONE
from reelbench.reporting.render.cells import split
from reelbench.reporting.render.inline import plain
from reelbench.reporting.render.names import named_tables
from reelbench.reporting.results.results import Results, ResultValue

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings of a cell that a spreadsheet computes; see OWASP, CSV injection."""


def _fields(*names: str) -> dict[str, Callable[[ResultValue], object]]:
    return {name: attrgetter(name) for name in names}


COLUMNS: Mapping[str, Callable[[ResultValue], object]] = {
    **_fields("sli", "dimension", "scenario", "case", "member", "value", "unit", "n"),
    "lower": lambda value: value.interval and value.interval.lower,
    "upper": lambda value: value.interval and value.interval.upper,
    "interval": lambda value: value.interval and value.interval.method,
    "direction": lambda value: value.objective and value.objective.direction,
    "objective": lambda value: value.objective and value.objective.value,
    "verdict": attrgetter("verdict"),
    "certainty": attrgetter("certainty"),
    "reason": lambda value: value.reason or value.no_data,
    **_fields("source", "query", "instant", "started", "ended", "grafana"),
}
"""Columns of ``results.csv``."""


def results_csv(results: Results) -> str:
    """Return all values, one per row; a missing one is an empty cell."""
    return _write(COLUMNS, ([_text(cell(value)) for cell in COLUMNS.values()] for value in results.numbers))


def tables_csv(reports: Sequence[Report]) -> dict[str, str]:
    """Return every table of the reports except those for reference, by name; bounds are in columns of their own."""
    return {
        named.name: _write(
            *split(tuple(map(plain, named.table.columns)), [list(map(plain, row)) for row in named.table.rows])
        )
        for named in named_tables(reports)
        if not named.folded
    }


def records_csv(records: Sequence[msgspec.Struct]) -> str:
    """Return records of one kind, one per row; limits and lists get columns of their own, a missing value is empty."""
    rows = [dict(_flat(msgspec.to_builtins(record))) for record in records]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return _write(columns, ([_text(row.get(name)) for name in columns] for row in rows))


def _flat(fields: dict[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            yield from ((f"{before}{name}_{number}", one) for number, one in enumerate(value, 1))
        elif isinstance(value, dict):
            yield from _flat(value, f"{before}{name}_")
        else:
            yield f"{before}{name}", value


def guarded(text: str) -> str:
    """Return a text that stays text: with an apostrophe before a formula, unless it is a number or the dash."""
    text = harmless(text)
    if not text.lstrip(" ").startswith(_FORMULA) or text == NONE:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _text(value: object) -> str:
    return "" if value is None else repr(value) if isinstance(value, int | float) else str(value)


def _write(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(guarded, columns))
    writer.writerows(map(guarded, row) for row in rows)
    return buffer.getvalue()
