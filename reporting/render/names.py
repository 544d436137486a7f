"""Names of the files of tables and figures: short, safe and unique."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from reelbench.reporting.document.report import Chart, Report, Section, Table, Timeline

APPENDIX = "Appendix"
"""Beginning of the titles of sections for reference, such as all queries."""
_OTHER = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class NamedTable:
    """A table with its section and the name of its file without suffix."""

    name: str
    section: Section
    table: Table

    @property
    def appendix(self) -> bool:
        """True for tables of an appendix."""
        return self.section.title.startswith(APPENDIX)


def slug(text: str, joint: str = "_") -> str:
    """Return a text as a name of lower-case letters, digits and joints."""
    return _OTHER.sub(joint, text.lower()).strip(joint)


def named_tables(reports: Sequence[Report]) -> Iterator[NamedTable]:
    """Yield every table with rows: under its own name, else that of report and section, numbered from the second on."""
    used: set[str] = set()
    for report in reports:
        for section in report.sections:
            title = section.title.partition(":")[0] if section.title.startswith(APPENDIX) else section.title
            for table in section.blocks:
                if isinstance(table, Table) and table.rows:
                    first = slug(table.name or f"{report.name.removesuffix('_report')} {title}") or "table"
                    names = (first if number == 1 else f"{first}_{number}" for number in count(1))
                    name = next(name for name in names if name not in used)
                    used.add(name)
                    yield NamedTable(name, section, table)


def figures_of(reports: Sequence[Report]) -> tuple[Chart | Timeline, ...]:
    """Return all figures in order."""
    return tuple(chart for report in reports for chart in report.charts)
