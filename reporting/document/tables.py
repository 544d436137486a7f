"""Tables that show what there is."""

from __future__ import annotations

from reelbench.reporting.document import text
from reelbench.reporting.document.report import Table


def with_values(table: Table) -> Table:
    """Return a table without the columns that have no value in any row."""
    kept = [n for n in range(len(table.columns)) if any(row[n] != text.NONE for row in table.rows)]
    columns = tuple(table.columns[n] for n in kept)
    rows = tuple(tuple(row[n] for n in kept) for row in table.rows)
    return Table(columns, rows, tuple(one for one in table.numeric if one in columns), table.caption, table.name)
