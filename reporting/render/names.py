"""Names of the files of tables and figures: short, safe and unique."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

from reelbench.reporting.document.report import APPENDIX, Chart, Report, Section, Table, Timeline

FIGURES = "figures"
"""Folder of the figures, below that of the reports."""
_OTHER = re.compile(r"[^a-z0-9]+")


class NamedTable(msgspec.Struct, frozen=True):
    """A table with its section and the name of its file without suffix."""

    name: str
    section: Section
    table: Table

    @property
    def folded(self) -> bool:
        """True for tables of a section for reference, such as all queries."""
        return self.section.folded


def slug(text: str, joint: str = "_") -> str:
    """Return a text as a name of lower-case letters, digits and joints."""
    return _OTHER.sub(joint, text.lower()).strip(joint)


def named_tables(reports: Sequence[Report]) -> Iterator[NamedTable]:
    """Yield every table with rows: under its own name, else that of report and section, numbered from the second on."""
    used: set[str] = set()
    for report in reports:
        for section in report.sections:
            for table in section.blocks:
                if isinstance(table, Table) and table.rows:
                    start = "" if report.name == APPENDIX else report.name.removesuffix("_report")
                    first = slug(table.name or f"{start} {section.title}") or "table"
                    names = (first if number == 1 else f"{first}_{number}" for number in count(1))
                    name = next(name for name in names if name not in used)
                    used.add(name)
                    yield NamedTable(name, section, table)


def figures_of(reports: Sequence[Report]) -> tuple[Chart | Timeline, ...]:
    """Return all figures in order."""
    return tuple(chart for report in reports for chart in report.charts)


def anchors(reports: Sequence[Report]) -> dict[tuple[str, int], str]:
    """Return the id of each section by report and position; equal titles get different ids."""
    made: dict[tuple[str, int], str] = {}
    for report in reports:
        for number, section in enumerate(report.sections):
            name = slug(f"{report.name} {section.title}", "-")
            made[report.name, number] = f"{name}-{number}" if name in made.values() else name
    return made
