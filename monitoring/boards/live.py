"""What a run is doing now."""

from __future__ import annotations

from reelbench.monitoring.objectives import objective_groups
from reelbench.monitoring.panels import Board, Group, Kind, Line, Panel, Query
from reelbench.monitoring.promql import (
    MEASURED,
    PLACE,
    RATE,
    formula,
    gauge,
    hit_rate,
    observed,
    quantile,
    rate,
    select,
    share,
)
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import LIVE_UID

_JOBS, _JOB, _API = "loadgen_jobs_total", "loadgen_job_duration_seconds", "loadgen_request_duration_seconds"
_CALL = "gen_ai_client_operation_duration_seconds"
_COMPLETED, _JUDGED = 'outcome="completed"', 'outcome!~"aborted|cancelled"'
_RUNNING = formula("count by (run_id, scenario) (rate($jobs) > 0)", jobs=select(_JOBS, *PLACE, window=RATE))
_MEDIA_CPU = rate("media_process_cpu_time_seconds_total", place=())
_PROVIDER, _ERROR = "gen_ai_provider_name", "error_type"

# fmt: off
_NOW = Group("Now", [
    Line(4, [
        Panel("Running now", "Runs and scenarios whose jobs ended within the last minute.", "none",
              [Query(_RUNNING, "{{run_id}} {{scenario}}", now=True)],
              kind=Kind.STAT, sparkline=False, no_value="nothing runs"),
        Panel("Job rate", "Completed jobs per second.", "ops", [Query(rate(_JOBS, _COMPLETED))], kind=Kind.STAT),
        Panel("In flight", "Jobs sent and not yet ended, warm-up included.", "none",
              [Query(gauge("loadgen_jobs_in_flight"))], kind=Kind.STAT),
        Panel("Waiting in the queue", "Accepted jobs that no worker has started yet.", "none",
              [Query(gauge("video_jobs_active", 'state="queued"'))], kind=Kind.STAT),
        Panel("Success", "", "percentunit", [Query(share(rate(_JOBS, _COMPLETED), rate(_JOBS, _JUDGED)))],
              kind=Kind.STAT, sli="success_rate", limit=True),
        Panel("P95 now", "", "s", [Query(quantile(0.95, _JOB, _COMPLETED))],
              kind=Kind.STAT, sli="response_time_p95", limit=True),
    ]),
])
_LOAD = Group("Load and latency", [
    Line(9, [
        Panel("Response time", "Of completed jobs, from the intended start to the end. Dots are exemplars; each links "
              "to its trace.", "s",
              [Query(quantile(q, _JOB, _COMPLETED), f"P{q * 100:g}", exemplar=True) for q in (0.5, 0.95, 0.99)],
              sli="response_time_p95", limit=True, to_traces=True),
        Panel("Jobs ended", "Jobs per second, by scenario and outcome.", "ops",
              [Query(rate(_JOBS, by=("scenario", "outcome")), "{{scenario}} {{outcome}}")], stacked=True),
    ]),
    Line(8, [
        Panel("Jobs in flight and in the queue", "In flight: counted by the client. Queued and running: counted by the "
              "service.", "none",
              [Query(gauge("loadgen_jobs_in_flight"), "in flight"),
               Query(gauge("video_jobs_active", by=("state",)), "{{state}}")]),
        Panel("P95 of the API by operation", "Measured by the client; wait is a long poll and lasts as long as the "
              "job.", "s", [Query(quantile(0.95, _API, by=("operation",)), "{{operation}}", exemplar=True)],
              sli="api_latency_p95", limit=True, to_traces=True),
        Panel("Requests to the API", "Requests per second, by operation.", "reqps",
              [Query(observed(_API, by=("operation",)), "{{operation}}")], stacked=True),
    ]),
])
_ERRORS = Group("Success and errors", [
    Line(8, [
        Panel("Success rate", "", "percentunit",
              [Query(share(rate(_JOBS, _COMPLETED, by=("scenario",)), rate(_JOBS, _JUDGED, by=("scenario",))),
                     "{{scenario}}")],
              sli="success_rate", limit=True, top=1),
        Panel("Errors by cause", "Errors per second: failed jobs, jobs rejected by the service, failed provider calls.",
              "ops",
              [Query(rate(_JOBS, 'outcome!~"completed|cancelled"', by=("outcome",)), "job {{outcome}}"),
               Query(rate("video_jobs_rejected_total", by=("reason",)), "refused {{reason}}"),
               Query(observed(_CALL, 'error_type!=""', 'error_type!="cancelled"', by=(_PROVIDER, _ERROR), place=()),
                     "{{gen_ai_provider_name}} {{error_type}}")]),
        Panel("Firing alerts", "Alerts of prometheus/rules; docs/dashboards.md says what to do.", "short",
              [Query(select("ALERTS", 'alertstate="firing"'), now=True)], kind=Kind.TABLE,
              columns={"alertname": "Alert", "severity": "Severity", "scenario": "Scenario", "case": "Case"},
              hidden=("Value", "__name__", "alertstate", "run_id", "instance")),
    ]),
])
_MACHINE = Group("Machine and cache", [
    Line(7, [
        Panel("CPU", "Cores used by each process; media: all worker processes of the service.", "short",
              [Query(rate("process_cpu_time_seconds_total", by=("job",), place=()), "{{job}}"),
               Query(_MEDIA_CPU, "media")]),
        Panel("Memory", "Resident memory of each process.", "bytes",
              [Query(gauge("process_memory_usage_bytes", by=("job",)), "{{job}}"),
               Query(gauge("media_process_memory_usage_bytes"), "media")]),
        Panel("Cache hit rate", "Share of cache requests that needed no provider call.", "percentunit",
              [Query(hit_rate(by=("cache",)), "{{cache}}")], top=1),
        Panel("Jobs ended by the service", "Jobs per second, by outcome; the client counts partial as completed.",
              "ops", [Query(rate("video_jobs_total", MEASURED, by=("outcome",)), "{{outcome}}")], stacked=True),
    ]),
])
# fmt: on


def build(catalogue: Catalogue, _prices: Prices) -> Board:
    """Return the dashboard."""
    return Board(
        LIVE_UID,
        "Live run",
        "The present state of a run: load, latency, errors, objectives.",
        [_NOW, _LOAD, _ERRORS, *objective_groups(catalogue, "performance", "every"), _MACHINE],
    )
