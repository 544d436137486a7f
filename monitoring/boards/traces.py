"""Single jobs, and where their time goes."""

from __future__ import annotations

from reelbench.monitoring.panels import Board, Group, Kind, Line, Panel, Query, TextVariable, TraceQuery
from reelbench.monitoring.promql import formula, quantile, rate
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import TRACES_UID

_CHOSEN = 'span.run_id =~ "$run_id" && span.scenario =~ "$scenario"'
_JOB = f'{{ name = "loadgen.job" && {_CHOSEN}'
_LIMIT = 1000
"""Tempo returns any matching traces up to the limit, not the longest, so all must be requested for sorting."""
_COLUMNS = "| select(span.scenario, span.case, span.loadgen.job.outcome)"
_STAGE, _SPANS = "video_job_stage_duration_seconds", "traces_span_metrics_duration_seconds"

# fmt: off
_GROUPS = (
    Group("Jobs", [
        Line(10, [
            Panel("Slowest jobs", "Jobs slower than the variable, with download, the longest first; a row opens its "
                  "trace. TraceQL.", "none",
                  [TraceQuery(f"{_JOB} && duration > $slower_than }} {_COLUMNS}", _LIMIT)],
                  kind=Kind.TABLE, sort="Duration"),
            Panel("Failed jobs", "Jobs that were not completed. TraceQL.", "none",
                  [TraceQuery(f'{_JOB} && span.loadgen.job.outcome != "completed" }} {_COLUMNS}', _LIMIT)],
                  kind=Kind.TABLE, sort="Start time"),
        ]),
    ]),
    Group("Stages", [
        Line(9, [
            Panel("P95 by stage", "Measured by the service; speech and visual once per scene.", "s",
                  [Query(quantile(0.95, _STAGE, by=("stage",)), "{{stage}}", exemplar=True)], to_traces=True),
            Panel("Time by stage", "Seconds of work per second, summed over concurrent scenes.", "short",
                  [Query(formula("$classic or histogram_sum($native)", classic=rate(f"{_STAGE}_sum", by=("stage",)),
                                 native=rate(_STAGE, by=("stage",))), "{{stage}}")], stacked=True),
            Panel("P95 by stage, from spans", "TraceQL over the spans of the chosen runs.", "s",
                  [TraceQuery(f'{{ name =~ "video.job.stage.*" && {_CHOSEN} }} '
                              "| quantile_over_time(duration, .95) by (span.stage)")]),
        ]),
    ]),
    Group("Services", [
        Line(11, [
            Panel("Service map", "Calls between services, from the service graph that Tempo builds from all traces.",
                  "none", [TraceQuery()], kind=Kind.GRAPH),
            Panel("P95 of spans by service", "From the span metrics of the Collector, of all spans.", "s",
                  [Query(quantile(0.95, _SPANS, 'span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_INTERNAL"', by=("job",),
                                  place=()), "{{job}}", exemplar=True)], to_traces=True),
            Panel("Spans by service", "Spans per second, by status.", "ops",
                  [Query(rate("traces_span_metrics_calls_total", by=("job", "status_code"), place=()),
                         "{{job}} {{status_code}}")]),
        ]),
    ]),
)
# fmt: on


def build(_catalogue: Catalogue, _prices: Prices) -> Board:
    """Return the dashboard."""
    slower = TextVariable("slower_than", "Slower than", "Duration from which a job is listed as slow.", "1s")
    return Board(TRACES_UID, "Traces", "The slowest and the failed jobs, stages and services.", _GROUPS, [slower])
