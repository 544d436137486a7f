"""Results and tables as CSV, for spreadsheets and data frames; no cell is ever taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from reelbench.reporting.document.report import Report, Table
from reelbench.reporting.document.text import NONE
from reelbench.reporting.render.inline import plain
from reelbench.reporting.render.names import named_tables
from reelbench.reporting.results.results import Number, Results

COLUMNS = (
    "sli", "dimension", "scenario", "case", "member", "value", "unit", "n", "lower", "upper", "interval", "objective",
    "verdict", "reason", "source", "query", "instant", "started", "ended", "grafana",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet computes; see OWASP, CSV injection."""
_SIGNS = {"at_most": "<=", "at_least": ">="}


def results_csv(results: Results) -> str:
    """All numbers, one a row; an empty cell where there is nothing."""
    return _write(COLUMNS, (_number(number) for number in results.numbers))


def tables_csv(reports: Sequence[Report]) -> dict[str, str]:
    """Every table of the reports but for the appendices, by its name."""
    return {named.name: _table(named.table) for named in named_tables(reports) if not named.appendix}


def guarded(text: str) -> str:
    """A text that stays text: an apostrophe in front of what is neither a number nor the dash for nothing."""
    if not text.startswith(_FORMULA) or text == NONE:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _table(table: Table) -> str:
    return _write(map(plain, table.columns), ((plain(cell) for cell in row) for row in table.rows))


def _number(number: Number) -> tuple[str, ...]:
    interval, objective = number.interval, number.objective
    return (
        number.sli,
        number.dimension,
        number.scenario,
        number.case,
        number.member,
        _text(number.value),
        number.unit,
        _text(number.n),
        _text(interval.lower if interval else None),
        _text(interval.upper if interval else None),
        interval.method if interval else "",
        f"{_SIGNS[objective.direction]} {objective.value!r}" if objective else "",
        number.verdict or "",
        number.reason or number.no_data or "",
        number.source,
        number.query,
        _text(number.instant),
        _text(number.started),
        _text(number.ended),
        number.grafana or "",
    )


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)


def _write(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(guarded, columns))
    writer.writerows(map(guarded, row) for row in rows)
    return buffer.getvalue()
