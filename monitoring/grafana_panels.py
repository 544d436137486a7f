"""From a panel to the JSON of Grafana, with the models of Grafana's foundation SDK."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():  # the SDK prefers the second form of dashboards, which not every Grafana provisions
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models import dashboard as sdk
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, nodegraph, prometheus, stat, statetimeline, table, tempo, timeseries

from reelbench.monitoring.panels import MONEY, Kind, Panel, Query, TraceQuery
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue, Objective
from reelbench.reporting.document.grafana_links import TRACES_UID

PROMETHEUS = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TEMPO = common.DataSourceRef(type_val="tempo", uid="${tempo}")
_TO_TRACES = sdk.DashboardLink(
    title="Traces of this run",
    type_val=sdk.DashboardLinkType.LINK,
    url=f"/d/{TRACES_UID}?${{run_id:queryparam}}&${{scenario:queryparam}}&${{__url_time_range}}",
)
_LEGEND = common.VizLegendOptions(
    display_mode=common.LegendDisplayMode.TABLE,
    placement=common.LegendPlacement.BOTTOM,
    show_legend=True,
    calcs=["lastNotNull", "max"],
)
_TOOLTIP = common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING)


def panel_model(panel: Panel, catalogue: Catalogue, prices: Prices) -> sdk.Panel:
    """Return a panel without id and place on the grid."""
    objective = catalogue.get(panel.sli).objective if panel.limit else None
    targets = [_target(query, number, panel) for number, query in enumerate(panel.queries)]
    unit = f"{MONEY}{prices.currency}" if panel.unit == MONEY else panel.unit
    return sdk.Panel(
        type_val=panel.kind.value,
        title=panel.title,
        description=panel.description(catalogue),
        datasource=_TEMPO if isinstance(panel.queries[0], TraceQuery) else PROMETHEUS,
        targets=targets,
        links=[_TO_TRACES] if panel.to_traces else [],
        transformations=_transformations(panel),
        options=_options(panel),
        field_config=sdk.FieldConfigSource(defaults=_defaults(panel, unit, objective), overrides=[]),
    )


def _target(query: Query | TraceQuery, number: int, panel: Panel) -> Dataquery:
    letter = chr(ord("A") + number)
    if isinstance(query, Query):
        format_ = prometheus.PromQueryFormat
        return prometheus.Dataquery(
            ref_id=letter,
            datasource=PROMETHEUS,
            expr=query.expr.text,
            legend_format=query.legend or "__auto",
            exemplar=query.exemplar,
            instant=query.now,
            range_val=not query.now,
            format_val=format_.TABLE if panel.kind is Kind.TABLE else format_.TIME_SERIES,
            editor_mode=prometheus.QueryEditorMode.CODE,
        )
    if not query.text:
        return tempo.Dataquery(ref_id=letter, datasource=_TEMPO, query_type="serviceMap")
    return tempo.Dataquery(
        ref_id=letter,
        datasource=_TEMPO,
        query_type="traceql",
        query=query.text,
        limit=query.limit,
        table_type=tempo.SearchTableType.TRACES,
    )


def _defaults(panel: Panel, unit: str, objective: Objective | None) -> sdk.FieldConfig:
    chart, words = panel.kind is Kind.CHART, {str(value): word for value, word in enumerate(panel.words)}
    coloured = sdk.FieldColorModeId.THRESHOLDS, sdk.FieldColorModeId.PALETTE_CLASSIC
    return sdk.FieldConfig(
        unit=unit,
        color=sdk.FieldColor(mode=coloured[panel.kind not in {Kind.STAT, Kind.STATES}]),
        thresholds=sdk.ThresholdsConfig(mode=sdk.ThresholdsMode.ABSOLUTE, steps=_steps(objective)),
        mappings=[
            sdk.ValueMap(
                options={
                    value: sdk.ValueMappingResult(text=text, color=color, index=int(value))
                    for value, (text, color) in words.items()
                }
            )
        ]
        if words
        else [],
        min_val=0 if chart and unit in {"percentunit", "s"} else None,
        max_val=panel.top,
        no_value=panel.no_value if panel.kind is Kind.STAT else None,
        custom=_custom(panel, objective),
    )


def _steps(objective: Objective | None) -> list[sdk.Threshold]:
    """Return green where an objective holds, red where it does not."""
    if objective is None:
        return [sdk.Threshold(color="green")]
    below, above = ("green", "red") if objective.direction == "at_most" else ("red", "green")
    return [sdk.Threshold(color=below), sdk.Threshold(color=above, value=objective.value)]


def _custom(panel: Panel, objective: Objective | None) -> object:
    if panel.kind is Kind.STATES:
        return statetimeline.FieldConfig(fill_opacity=80, line_width=0)
    if panel.kind is not Kind.CHART:
        return None
    stacking = common.StackingMode.NORMAL if panel.stacked else common.StackingMode.NONE
    style = common.GraphThresholdsStyleMode.DASHED if objective else common.GraphThresholdsStyleMode.OFF
    return timeseries.FieldConfig(
        draw_style=common.GraphDrawStyle.LINE,
        line_width=1,
        fill_opacity=30 if panel.stacked else 8,
        show_points=common.VisibilityMode.AUTO,
        stacking=common.StackingConfig(mode=stacking, group="A"),
        thresholds_style=common.GraphThresholdsStyleConfig(mode=style),
        axis_soft_min=0,
    )


def _options(panel: Panel) -> object:
    match panel.kind:
        case Kind.CHART:
            return timeseries.Options(legend=_LEGEND, tooltip=_TOOLTIP)
        case Kind.STAT:
            graph, colour = common.BigValueGraphMode, common.BigValueColorMode
            return stat.Options(
                graph_mode=graph.AREA if panel.sparkline else graph.NONE,
                color_mode=colour.BACKGROUND if panel.background else colour.VALUE,
                justify_mode=common.BigValueJustifyMode.AUTO,
                text_mode=common.BigValueTextMode.AUTO,
                reduce_options=common.ReduceDataOptions(values=False, calcs=["lastNotNull"], fields=""),
                orientation=common.VizOrientation.AUTO,
            )
        case Kind.TABLE:
            sort = [common.TableSortByFieldState(display_name=panel.sort, desc=True)] if panel.sort else []
            return table.Options(sort_by=sort, cell_height=common.TableCellHeight.SM)
        case Kind.STATES:
            return statetimeline.Options(
                show_value=common.VisibilityMode.AUTO,
                align_value=common.TimelineValueAlignment.LEFT,
                legend=common.VizLegendOptions(
                    display_mode=common.LegendDisplayMode.LIST,
                    placement=common.LegendPlacement.BOTTOM,
                    show_legend=True,
                ),
                tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.NONE),
            )
        case Kind.GRAPH:
            return nodegraph.Options()


def _transformations(panel: Panel) -> list[sdk.DataTransformerConfig]:
    if not panel.columns:
        return []
    hidden = dict.fromkeys(("Time", *panel.hidden), True)
    return [
        sdk.DataTransformerConfig(id_val="merge", options={}),
        sdk.DataTransformerConfig(
            id_val="organize", options={"excludeByName": hidden, "renameByName": dict(panel.columns)}
        ),
    ]
