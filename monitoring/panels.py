"""Dashboards as data: boards, groups and panels with their queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum

from reelbench.monitoring.promql import Expr
from reelbench.reporting.catalogue.sli import Catalogue

MONEY = "currency"
"""The unit of panels in the currency of the price list."""


class Kind(Enum):
    """How a panel shows its queries."""

    CHART = "timeseries"
    STAT = "stat"
    TABLE = "table"
    STATES = "state-timeline"
    GRAPH = "nodeGraph"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query."""

    expr: Expr
    legend: str = ""
    exemplar: bool = False
    now: bool = False
    """Asks for one instant, the end of the shown range."""


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """One query of Tempo: TraceQL, or without text its service map."""

    text: str = ""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; most fields below `kind` are for one kind."""

    title: str
    why: str
    """The description; empty: that of the indicator."""
    unit: str
    queries: Sequence[Query | TraceQuery]
    _: KW_ONLY
    kind: Kind = Kind.CHART
    sli: str = ""
    """The indicator of the catalogue that the panel shows."""
    limit: bool = False
    """Draw the objective of the indicator."""
    stacked: bool = False
    top: float | None = None
    """End of the axis."""
    to_traces: bool = False
    """Link to the traces of the chosen runs."""
    sparkline: bool = True
    background: bool = False
    """Colour the background instead of the value."""
    no_value: str = "no data"
    sort: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Titles of columns; the answers of the queries are merged by their labels."""
    hidden: Sequence[str] = ()
    words: Sequence[tuple[str, str]] = ()
    """Text and colour of the values 0, 1, 2 ..."""

    def description(self, catalogue: Catalogue) -> str:
        """Return what the panel shows and why."""
        return self.why or catalogue.get(self.sli).why

    @property
    def exprs(self) -> tuple[Expr, ...]:
        """The PromQL queries."""
        return tuple(query.expr for query in self.queries if isinstance(query, Query))


@dataclass(frozen=True, slots=True)
class Line:
    """Panels next to each other, of the same height and width."""

    height: int
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Group:
    """A heading and the lines below it."""

    title: str
    lines: Sequence[Line]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in their order."""
        return tuple(panel for line in self.lines for panel in line.panels)


@dataclass(frozen=True, slots=True)
class TextVariable:
    """A variable whose value is typed in."""

    name: str
    label: str
    description: str
    value: str


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str
    groups: Sequence[Group]
    variables: Sequence[TextVariable] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in their order."""
        return tuple(panel for group in self.groups for panel in group.panels)
