"""The classic JSON of a Grafana dashboard as strict records: what is written here is read back without a stranger."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

SCHEMA_VERSION = 41
"""The last one before Grafana's own second form; provisioning from files takes it in 12 and 13."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Base of all parts; a field that is UNSET is not written."""


class DataSource(Record, frozen=True, kw_only=True):
    """A data source, by a variable of the dashboard or Grafana's own store."""

    type: str
    uid: str


PROMETHEUS = DataSource(type="prometheus", uid="${datasource}")
TEMPO = DataSource(type="tempo", uid="${tempo}")
GRAFANA = DataSource(type="grafana", uid="-- Grafana --")


class Place(Record, frozen=True, kw_only=True):
    """A rectangle on the grid of 24 columns."""

    h: int
    w: int
    x: int
    y: int


class Target(Record, frozen=True, kw_only=True):
    """One query: `expr` asks Prometheus, `query` and `query_type` ask Tempo."""

    ref_id: str
    datasource: DataSource
    expr: str | UnsetType = UNSET
    legend_format: str | UnsetType = UNSET
    exemplar: bool | UnsetType = UNSET
    instant: bool | UnsetType = UNSET
    range: bool | UnsetType = UNSET
    format: Literal["time_series", "table"] | UnsetType = UNSET
    editor_mode: Literal["code"] | UnsetType = UNSET
    query_type: Literal["traceql", "serviceMap"] | UnsetType = UNSET
    query: str | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    table_type: Literal["traces", "spans"] | UnsetType = UNSET


class Step(Record, frozen=True, kw_only=True):
    """A colour from a value on; None: from minus infinity."""

    color: str
    value: float | None


class Thresholds(Record, frozen=True, kw_only=True):
    """Colours by value."""

    mode: Literal["absolute"] = "absolute"
    steps: tuple[Step, ...] = (Step(color="green", value=None),)


class Word(Record, frozen=True, kw_only=True):
    """What is shown in the place of a value."""

    text: str
    color: str
    index: int


class Mapping(Record, frozen=True, kw_only=True):
    """Words for values."""

    options: dict[str, Word]
    type: Literal["value"] = "value"


class Colour(Record, frozen=True, kw_only=True):
    """How a series gets its colour."""

    mode: Literal["palette-classic", "thresholds", "fixed"] = "palette-classic"
    fixed_color: str | UnsetType = UNSET


class Stacking(Record, frozen=True, kw_only=True):
    """Whether series lie upon each other."""

    mode: Literal["none", "normal"] = "none"
    group: str = "A"


class ThresholdsStyle(Record, frozen=True, kw_only=True):
    """Whether thresholds are drawn as lines."""

    mode: Literal["off", "dashed"] = "off"


class Custom(Record, frozen=True, kw_only=True):
    """Settings of a kind of panel, per series."""

    draw_style: Literal["line", "bars"] | UnsetType = UNSET
    line_width: int | UnsetType = UNSET
    fill_opacity: int | UnsetType = UNSET
    show_points: Literal["never", "auto"] | UnsetType = UNSET
    stacking: Stacking | UnsetType = UNSET
    thresholds_style: ThresholdsStyle | UnsetType = UNSET
    axis_soft_min: float | UnsetType = UNSET


class Defaults(Record, frozen=True, kw_only=True):
    """Unit, colours and thresholds of all series of a panel."""

    unit: str
    color: Colour = Colour()
    custom: Custom = Custom()
    thresholds: Thresholds = Thresholds()
    mappings: tuple[Mapping, ...] = ()
    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET
    no_value: str | UnsetType = UNSET


class Matcher(Record, frozen=True, kw_only=True):
    """Which field an override is for."""

    id: Literal["byName"]
    options: str


class Property(Record, frozen=True, kw_only=True):
    """One setting of an override."""

    id: str
    value: Any


class Override(Record, frozen=True, kw_only=True):
    """Settings of one field."""

    matcher: Matcher
    properties: tuple[Property, ...]


class FieldConfig(Record, frozen=True, kw_only=True):
    """Settings of all fields, and of single ones."""

    defaults: Defaults
    overrides: tuple[Override, ...] = ()


class Legend(Record, frozen=True, kw_only=True):
    """The legend; `calcs` are shown beside each name."""

    display_mode: Literal["list", "table"] = "list"
    placement: Literal["bottom", "right"] = "bottom"
    show_legend: bool = True
    calcs: tuple[str, ...] = ()


class Tooltip(Record, frozen=True, kw_only=True):
    """What is shown under the pointer."""

    mode: Literal["multi"] = "multi"
    sort: Literal["desc", "none"] = "desc"


class Link(Record, frozen=True, kw_only=True):
    """A link of a panel, with the variables of the dashboard."""

    title: str
    url: str
    target_blank: bool = False


class Transformation(Record, frozen=True, kw_only=True):
    """A step between answer and panel."""

    id: str
    options: dict[str, Any]


class Panel(Record, frozen=True, kw_only=True):
    """What every panel has."""

    id: int
    title: str
    description: str
    grid_pos: Place
    datasource: DataSource
    targets: tuple[Target, ...]
    field_config: FieldConfig
    links: tuple[Link, ...] = ()
    transformations: tuple[Transformation, ...] = ()


class TimeSeriesOptions(Record, frozen=True, kw_only=True):
    """Options of a chart over time."""

    legend: Legend = Legend()
    tooltip: Tooltip = Tooltip()


class TimeSeries(Panel, frozen=True, kw_only=True, tag_field="type", tag="timeseries"):
    """A chart over time."""

    options: TimeSeriesOptions = TimeSeriesOptions()


class Reduce(Record, frozen=True, kw_only=True):
    """How a series becomes one value."""

    calcs: tuple[str, ...] = ("lastNotNull",)
    fields: str = ""
    values: bool = False


class StatOptions(Record, frozen=True, kw_only=True):
    """Options of a panel of numbers."""

    reduce_options: Reduce = Reduce()
    color_mode: Literal["value", "background"] = "value"
    graph_mode: Literal["area", "none"] = "area"
    justify_mode: Literal["auto"] = "auto"
    orientation: Literal["auto"] = "auto"
    text_mode: Literal["auto", "value_and_name"] = "auto"
    wide_layout: bool = True


class Stat(Panel, frozen=True, kw_only=True, tag_field="type", tag="stat"):
    """Large numbers."""

    options: StatOptions = StatOptions()


class SortBy(Record, frozen=True, kw_only=True):
    """A column to sort by."""

    display_name: str
    desc: bool


class TableOptions(Record, frozen=True, kw_only=True):
    """Options of a table."""

    show_header: bool = True
    cell_height: Literal["sm"] = "sm"
    sort_by: tuple[SortBy, ...] = ()


class Table(Panel, frozen=True, kw_only=True, tag_field="type", tag="table"):
    """Rows and columns."""

    options: TableOptions = TableOptions()


class StateTimelineOptions(Record, frozen=True, kw_only=True):
    """Options of a time line of states."""

    merge_values: bool = True
    show_value: Literal["auto"] = "auto"
    align_value: Literal["left"] = "left"
    row_height: float = 0.9
    legend: Legend = Legend()
    tooltip: Tooltip = Tooltip(sort="none")


class StateTimeline(Panel, frozen=True, kw_only=True, tag_field="type", tag="state-timeline"):
    """States over time, a row for each series."""

    options: StateTimelineOptions = StateTimelineOptions()


class NodeGraphOptions(Record, frozen=True, kw_only=True):
    """A node graph has no options that matter here."""


class NodeGraph(Panel, frozen=True, kw_only=True, tag_field="type", tag="nodeGraph"):
    """Who calls whom."""

    options: NodeGraphOptions = NodeGraphOptions()


class Row(Record, frozen=True, kw_only=True, tag_field="type", tag="row"):
    """A heading above the panels that follow."""

    id: int
    title: str
    grid_pos: Place
    collapsed: bool = False
    panels: tuple[()] = ()


Shown = TimeSeries | Stat | Table | StateTimeline | NodeGraph
"""Panels that show something."""
AnyPanel = Shown | Row


class Chosen(Record, frozen=True, kw_only=True):
    """What a variable holds when the dashboard opens."""

    text: str
    value: str
    selected: bool = True


class VariableQuery(Record, frozen=True, kw_only=True):
    """How a variable asks Prometheus."""

    query: str
    ref_id: str
    qry_type: int = 5
    """5: the query is written as text."""


class Variable(Record, frozen=True, kw_only=True):
    """What variables of all types have."""

    name: str
    label: str
    description: str
    hide: int = 0
    skip_url_sync: bool = False


class SourceVariable(Variable, frozen=True, kw_only=True, tag_field="type", tag="datasource"):
    """The choice of a data source of one type."""

    query: str
    current: Chosen
    regex: str = ""
    multi: bool = False
    include_all: bool = False
    refresh: int = 1


class QueryVariable(Variable, frozen=True, kw_only=True, tag_field="type", tag="query"):
    """Values of a label; asked again whenever the time range changes (`refresh` 2)."""

    datasource: DataSource
    definition: str
    query: VariableQuery
    regex: str
    all_value: str
    current: Chosen = Chosen(text="All", value="$__all")
    multi: bool = True
    include_all: bool = True
    refresh: int = 2
    sort: int = 2
    """2: descending, so that the newest run stands first."""


class TextVariable(Variable, frozen=True, kw_only=True, tag_field="type", tag="textbox"):
    """A value to type in."""

    query: str
    current: Chosen


AnyVariable = SourceVariable | QueryVariable | TextVariable


class Templating(Record, frozen=True, kw_only=True):
    """The variables of a dashboard."""

    list: tuple[AnyVariable, ...]


class Tags(Record, frozen=True, kw_only=True):
    """Which annotations are shown: those with all of the tags."""

    limit: int
    match_any: bool
    tags: tuple[str, ...]
    type: Literal["tags", "dashboard"]


class Annotation(Record, frozen=True, kw_only=True):
    """A layer of annotations."""

    name: str
    datasource: DataSource
    icon_color: str
    enable: bool
    hide: bool
    target: Tags
    type: Literal["dashboard", "tags"]
    built_in: int | UnsetType = UNSET


class Annotations(Record, frozen=True, kw_only=True):
    """The layers of annotations."""

    list: tuple[Annotation, ...]


class DashboardLink(Record, frozen=True, kw_only=True):
    """A link above the panels to all dashboards with the tags."""

    title: str
    tags: tuple[str, ...]
    icon: str = "external link"
    tooltip: str = ""
    url: str = ""
    type: Literal["dashboards"] = "dashboards"
    as_dropdown: bool = False
    include_vars: bool = True
    keep_time: bool = True
    target_blank: bool = False


class TimeRange(Record, frozen=True, kw_only=True):
    """The range that is shown at first."""

    from_: str = msgspec.field(name="from", default="now-15m")
    to: str = "now"


class TimePicker(Record, frozen=True, kw_only=True):
    """What can be chosen as refresh."""

    refresh_intervals: tuple[str, ...] = msgspec.field(
        name="refresh_intervals", default=("5s", "10s", "30s", "1m", "5m")
    )


class Dashboard(Record, frozen=True, kw_only=True):
    """A whole dashboard. It has no id of its own: Grafana gives one; the uid is fixed."""

    uid: str
    title: str
    description: str
    tags: tuple[str, ...]
    panels: tuple[AnyPanel, ...]
    templating: Templating
    annotations: Annotations
    links: tuple[DashboardLink, ...]
    editable: bool = False
    graph_tooltip: int = 1
    """1: the pointer is shown in all panels."""
    live_now: bool = False
    refresh: str = "5s"
    schema_version: int = SCHEMA_VERSION
    time: TimeRange = TimeRange()
    timepicker: TimePicker = TimePicker()
    timezone: str = ""
    version: int = 1
    week_start: str = ""


def to_json(dashboard: Dashboard) -> bytes:
    """Encode for Grafana, the same bytes each time."""
    return msgspec.json.format(msgspec.json.encode(dashboard), indent=2) + b"\n"


def from_json(data: bytes) -> Dashboard:
    """Read what `to_json` wrote.

    Raises:
        msgspec.ValidationError: an unknown field, a wrong type or a missing field.
    """
    return msgspec.json.decode(data, type=Dashboard)
