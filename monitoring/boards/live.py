"""What a run is doing now."""

from __future__ import annotations

from reelbench.monitoring.boards.objectives import objectives
from reelbench.monitoring.boards.parts import ask, board, chart, stat, table
from reelbench.monitoring.grafana import Dashboard
from reelbench.monitoring.layout import Group, Line
from reelbench.monitoring.promql import MEASURED, PLACE, RATE, gauge, hit_rate, observed, quantile, rate
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import LIVE_UID

_ENDED = f'{PLACE},outcome!~"aborted|cancelled"'


def build(catalogue: Catalogue, _prices: Prices) -> Dashboard:
    """The dashboard, with the limits that the catalogue sets."""
    response = catalogue.get("response_time_p95")
    success = catalogue.get("success_rate")
    good = rate("loadgen_jobs_total", f'{PLACE},outcome="completed"')
    ended = rate("loadgen_jobs_total", _ENDED)
    succeeded = f"({good} or 0 * {ended}) / {ended}"
    job, api = "loadgen_job_duration_seconds", "loadgen_request_duration_seconds"
    completed = f'{PLACE},outcome="completed"'
    now = Group(
        "Now",
        [
            Line(
                4,
                [
                    stat(
                        "Running now",
                        "Runs and scenarios whose jobs ended within the last minute.",
                        "none",
                        [ask(f"count by (run_id, scenario) (rate(loadgen_jobs_total{{{PLACE}}}[{RATE}]) > 0)",
                             "{{run_id}} {{scenario}}", now=True)],
                        graph="none",
                        no_value="nothing runs",
                    ),
                    stat("Job rate", "Jobs that ended with a video, a second.", "ops", [ask(good)]),
                    stat("In flight", "Jobs sent and not yet ended, warm-up included.", "none",
                         [ask(gauge("loadgen_jobs_in_flight"))]),
                    stat("Waiting in the queue", "Accepted jobs that no worker has taken yet.", "none",
                         [ask(gauge("video_jobs_active", 'state="queued"'))]),
                    stat("Success", success.why, "percentunit", [ask(succeeded)], limit=success.objective),
                    stat("P95 now", response.why, "s", [ask(quantile(0.95, job, completed))],
                         limit=response.objective),
                ],
            ),
        ],
    )  # fmt: skip
    load = Group(
        "Load and latency",
        [
            Line(
                9,
                [
                    chart(
                        "Response time",
                        "Of completed jobs, from due to done. Dots are exemplars: each leads to its trace.",
                        "s",
                        [ask(quantile(q, job, completed), f"P{q * 100:g}", exemplar=True) for q in (0.5, 0.95, 0.99)],
                        limit=response.objective,
                        to_traces=True,
                    ),
                    chart(
                        "Jobs that end",
                        "A second, by scenario and outcome.",
                        "ops",
                        [ask(rate("loadgen_jobs_total", by=("scenario", "outcome")), "{{scenario}} {{outcome}}")],
                        stack=True,
                    ),
                ],
            ),
            Line(
                8,
                [
                    chart(
                        "Jobs in flight and in the queue",
                        "In flight as the client counts them; queued and running in the service.",
                        "none",
                        [
                            ask(gauge("loadgen_jobs_in_flight"), "in flight"),
                            ask(gauge("video_jobs_active", by=("state",)), "{{state}}"),
                        ],
                    ),
                    chart(
                        "P95 of the API by operation",
                        "As the client sees it; wait is a long poll and lasts as long as the job.",
                        "s",
                        [ask(quantile(0.95, api, by=("operation",)), "{{operation}}", exemplar=True)],
                        limit=catalogue.get("api_latency_p95").objective,
                        to_traces=True,
                    ),
                    chart(
                        "Requests to the API",
                        "A second, by operation.",
                        "reqps",
                        [ask(observed(api, by=("operation",)), "{{operation}}")],
                        stack=True,
                    ),
                ],
            ),
        ],
    )
    errors = Group(
        "Success and errors",
        [
            Line(
                8,
                [
                    chart(
                        "Success rate",
                        success.why,
                        "percentunit",
                        [ask(f"({rate('loadgen_jobs_total', completed, by=('scenario',))} "
                             f"or 0 * {rate('loadgen_jobs_total', _ENDED, by=('scenario',))}) "
                             f"/ {rate('loadgen_jobs_total', _ENDED, by=('scenario',))}", "{{scenario}}")],
                        limit=success.objective,
                        top=1,
                    ),
                    chart(
                        "Errors by cause",
                        "A second: what the client saw, what the service refused, and what its providers answered.",
                        "ops",
                        [
                            ask(rate("loadgen_jobs_total", f'{PLACE},outcome!~"completed|cancelled"', by=("outcome",)),
                                "job {{outcome}}"),
                            ask(rate("video_jobs_rejected_total", by=("reason",)), "refused {{reason}}"),
                            ask(observed("gen_ai_client_operation_duration_seconds",
                                         'error_type!="",error_type!="cancelled"',
                                         by=("gen_ai_provider_name", "error_type")),
                                "{{gen_ai_provider_name}} {{error_type}}"),
                        ],
                    ),
                    table(
                        "Alerts that fire",
                        "Alerts of prometheus/rules; what to do stands in docs/dashboards.md.",
                        [ask('ALERTS{alertstate="firing"}', now=True, table=True)],
                        names={"alertname": "Alert", "severity": "Severity", "scenario": "Scenario", "case": "Case"},
                        hidden=("Value", "__name__", "alertstate", "run_id", "instance"),
                    ),
                ],
            )
        ],
    )  # fmt: skip
    machine = Group(
        "Machine and cache",
        [
            Line(
                7,
                [
                    chart("CPU", "Cores used by each process; media are the service's workers together.", "short",
                          [ask(rate("process_cpu_time_seconds_total", "", by=("job",)), "{{job}}"),
                           ask(rate("media_process_cpu_time_seconds_total", ""), "media")]),
                    chart("Memory", "Resident memory of each process.", "bytes",
                          [ask(gauge("process_memory_usage_bytes", by=("job",)), "{{job}}"),
                           ask(gauge("media_process_memory_usage_bytes"), "media")]),
                    chart("Cache hit rate", "Questions to a cache that needed no call of a provider.", "percentunit",
                          [ask(hit_rate(by=("cache",)), "{{cache}}")], top=1),
                    chart("Jobs the service ended", "A second, by outcome; the client counts partial as completed.",
                          "ops", [ask(rate("video_jobs_total", f"{PLACE},{MEASURED}", by=("outcome",)), "{{outcome}}")],
                          stack=True),
                ],
            )
        ],
    )  # fmt: skip
    return board(
        LIVE_UID,
        "Live run",
        "What a run is doing now: load, latency, errors, objectives.",
        [now, load, errors, *objectives(catalogue, "performance", "every"), machine],
    )
