"""The report as data: what a renderer turns into text. It holds no query and no judgement of its own."""

from __future__ import annotations

from typing import Literal

import msgspec


class Paragraph(msgspec.Struct, frozen=True):
    """Running text; Markdown emphasis and code marks are allowed."""

    text: str


class Bullets(msgspec.Struct, frozen=True):
    """A list of sentences."""

    items: tuple[str, ...]


class Table(msgspec.Struct, frozen=True):
    """Cells are finished text. Columns named in `numeric` are set flush right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[str, ...] = ()
    caption: str = ""
    name: str = ""
    """Name of its file where tables have files of their own; left out, it is named after report and section."""
    chosen: tuple[str, ...] = ()
    """Columns of few words, such as verdicts, by which a page lets its reader choose rows."""


class Code(msgspec.Struct, frozen=True):
    """Text set as it is, with a fixed width."""

    text: str


class Series(msgspec.Struct, frozen=True):
    """One line of a chart; `errors` are (below, above) distances for each point."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    errors: tuple[tuple[float, float], ...] = ()
    draw: Literal["both", "points", "curve"] = "both"
    """In a chart of lines: points joined by lines, points alone, or a line that has no points of its own."""


class Panel(msgspec.Struct, frozen=True):
    """One of several drawings above one another, with a y axis of its own."""

    y_label: str
    series: tuple[Series, ...]


class Band(msgspec.Struct, frozen=True):
    """A stretch of the x axis to shade through all panels."""

    kind: Literal["part", "fault"]
    """A part, such as a scenario, is named above the panels; every second one is shaded."""
    name: str
    begin: float
    end: float


class Chart(msgspec.Struct, frozen=True):
    """A figure; `name` is its file name without suffix."""

    name: str
    kind: Literal["line", "steps", "bars", "time", "scatter", "stacked", "panels", "intervals"]
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    caption: str
    labels: tuple[str, ...] = ()
    """Names of the bars, or of the rows of intervals; a series has a value for each, NaN where it has none."""
    limit: tuple[str, float] | None = None
    """An objective to draw across: its name and value."""
    span: tuple[str, float, float] | None = None
    """A stretch of the x axis to shade: its name, beginning and end."""
    panels: tuple[Panel, ...] = ()
    """Of the kind `panels`, in place of `series`: drawings with a common x axis; a NaN breaks a line."""
    bands: tuple[Band, ...] = ()
    """Stretches that are shaded in the panels."""


class Timeline(msgspec.Struct, frozen=True):
    """States over time as steps, faults as shaded spans, and events as ticks in a panel below, in seconds."""

    name: str
    title: str
    x_label: str
    caption: str
    spans: tuple[tuple[float, float], ...]
    """Beginning and end of each fault."""
    span_name: str
    levels: tuple[str, ...]
    """Names of the states, lowest first."""
    states: Series
    """`ys` are positions in `levels`; the last point closes the line."""
    ticks: tuple[Series, ...]
    """Instants of events in `xs`, a row for each series."""


APPENDIX = "appendix"
"""Name of the report that holds what all reports of a run share, and what is for reference."""

Block = Paragraph | Bullets | Table | Code | Chart | Timeline


class Section(msgspec.Struct, frozen=True):
    """A heading with its blocks."""

    title: str
    blocks: tuple[Block, ...]
    level: int = 2
    folded: bool = False
    """Long and for reference, such as all queries: closed on the page, and without CSV and LaTeX files."""


class Report(msgspec.Struct, frozen=True):
    """A whole report."""

    name: str
    """File name without suffix."""
    title: str
    sections: tuple[Section, ...]

    @property
    def charts(self) -> tuple[Chart | Timeline, ...]:
        """All charts in order."""
        return tuple(
            block for section in self.sections for block in section.blocks if isinstance(block, Chart | Timeline)
        )
