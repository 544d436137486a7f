"""Single jobs, and where their time goes."""

from __future__ import annotations

from reelbench.monitoring.boards.parts import ask, board, chart, table, text_variable, traceql
from reelbench.monitoring.grafana import TEMPO, Dashboard, Defaults, FieldConfig, NodeGraph, Place, Target
from reelbench.monitoring.layout import Group, Line
from reelbench.monitoring.promql import quantile, rate
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import TRACES_UID

UID = TRACES_UID
CHOSEN = 'span.run_id =~ "$run_id" && span.scenario =~ "$scenario"'
LIMIT = 1000
"""Tempo gives any so many that match and not the longest, so that all must be asked for to sort them."""
_COLUMNS = "| select(span.scenario, span.case, span.loadgen.job.outcome)"


def build(_catalogue: Catalogue, _prices: Prices) -> Dashboard:
    """The dashboard."""
    job = f'{{ name = "loadgen.job" && {CHOSEN}'
    stage = "video_job_stage_duration_seconds"
    spans = "traces_span_metrics_duration_seconds"
    jobs = Group(
        "Jobs",
        [
            Line(
                10,
                [
                    table("Slowest jobs", "Jobs slower than the variable says, with download, the longest first; a row "
                          "opens its trace. TraceQL.",
                          [traceql(f"{job} && duration > $slower_than }} {_COLUMNS}", limit=LIMIT)],
                          unit="none", sort="Duration"),
                    table("Failed jobs", "Jobs that did not end with a video. TraceQL.",
                          [traceql(f'{job} && span.loadgen.job.outcome != "completed" }} {_COLUMNS}', limit=LIMIT)],
                          unit="none", sort="Start time"),
                ],
            )
        ],
    )  # fmt: skip
    stages = Group(
        "Stages",
        [
            Line(
                9,
                [
                    chart("P95 by stage", "As the service measures it; speech and visual once for each scene.", "s",
                          [ask(quantile(0.95, stage, by=("stage",)), "{{stage}}", exemplar=True)], to_traces=True),
                    chart("Time by stage", "Seconds of work a second, summed over concurrent scenes.", "short",
                          [ask(f"{rate(f'{stage}_sum', by=('stage',))} "
                               f"or histogram_sum({rate(stage, by=('stage',))})", "{{stage}}")], stack=True),
                    chart("P95 by stage, from spans", "TraceQL over the spans of the chosen runs.", "s",
                          [traceql(f'{{ name =~ "video.job.stage.*" && {CHOSEN} }} '
                                   "| quantile_over_time(duration, .95) by (span.stage)")]),
                ],
            )
        ],
    )  # fmt: skip
    services = Group(
        "Services",
        [
            Line(
                11,
                [
                    NodeGraph(
                        id=0,
                        title="Service map",
                        description="Who calls whom, from the service graph that Tempo makes of all traces.",
                        grid_pos=Place(h=0, w=0, x=0, y=0),
                        datasource=TEMPO,
                        targets=(Target(ref_id="A", datasource=TEMPO, query_type="serviceMap"),),
                        field_config=FieldConfig(defaults=Defaults(unit="none")),
                    ),
                    chart("P95 of spans by service", "From the Collector's span metrics, of all spans.", "s",
                          [ask(quantile(0.95, spans, 'span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_INTERNAL"', by=("job",)),
                               "{{job}}", exemplar=True)], to_traces=True),
                    chart("Spans by service", "A second, by status.", "ops",
                          [ask(rate("traces_span_metrics_calls_total", "", by=("job", "status_code")),
                               "{{job}} {{status_code}}")]),
                ],
            )
        ],
    )  # fmt: skip
    return board(
        UID,
        "Traces",
        "The slowest and the failed jobs, stages and services.",
        [jobs, stages, services],
        text_variable("slower_than", "Slower than", "Duration from which a job is shown as slow.", "1s"),
    )
