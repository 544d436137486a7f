"""The tables and figures of reports by the names of their files: short, safe, and no two alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from reelbench.reporting.document.report import Chart, Report, Section, Table, Timeline

APPENDIX = "Appendix"
"""Titles of sections that hold every query begin so."""
_OTHER = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class NamedTable:
    """A table, where it stands, and the name of its file without suffix."""

    name: str
    report: Report
    section: Section
    table: Table

    @property
    def appendix(self) -> bool:
        """True for tables that a reader looks things up in."""
        return self.section.title.startswith(APPENDIX)


def slug(text: str, joint: str = "_") -> str:
    """A text as a name of small letters, digits and joints."""
    return _OTHER.sub(joint, text.lower()).strip(joint)


def named_tables(reports: Sequence[Report]) -> Iterator[NamedTable]:
    """Every table with rows; its own name, else that of report and section, numbered from the second on."""
    used: set[str] = set()
    for report in reports:
        for section in report.sections:
            for block in section.blocks:
                if not isinstance(block, Table) or not block.rows:
                    continue
                title = section.title.partition(":")[0] if section.title.startswith(APPENDIX) else section.title
                first = slug(block.name or f"{report.name.removesuffix('_report')} {title}") or "table"
                name = next(name for name in _numbered(first) if name not in used)
                used.add(name)
                yield NamedTable(name, report, section, block)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def figures_of(reports: Sequence[Report]) -> tuple[Chart | Timeline, ...]:
    """All figures in order."""
    return tuple(chart for report in reports for chart in report.charts)
