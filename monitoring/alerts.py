"""Alerts that no objective gives: parts that are away, telemetry that is lost, a service that helps itself."""

from __future__ import annotations

from dataclasses import dataclass

_COLLECTOR = 'job="otel-collector"'


@dataclass(frozen=True, slots=True)
class Watch:
    """One alert, with what it means and what to do."""

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    meaning: str
    cure: str


def _lost(what: str) -> str:
    rates = (
        (kind, f"sum by (exporter) (rate(otelcol_exporter_{what}_{kind}{{{_COLLECTOR}}}[1m]))")
        for kind in ("spans", "metric_points")
    )
    return " or ".join(f'label_replace({rate}, "kind", "{kind}", "", "")' for kind, rate in rates)


ALERTS = (
    Watch(
        name="PartDown",
        expr="up == 0",
        hold="15s",
        severity="critical",
        summary="Prometheus cannot scrape {{ $labels.job }} at {{ $labels.instance }}.",
        meaning="A part of the stack does not answer: Collector, Tempo or Prometheus itself.",
        cure="`docker compose ps` and `docker compose logs` of that part. Metrics wait in the senders while the "
        "Collector is away, and arrive later.",
    ),
    Watch(
        name="TelemetryLost",
        expr=f"({_lost('enqueue_failed')}) > 0",
        hold="0s",
        severity="critical",
        summary="The Collector drops {{ $labels.kind }} for {{ $labels.exporter }}: {{ $value | humanize }} a second.",
        meaning="A queue of the Collector is full, and what comes is lost. The report will find counts that differ.",
        cure="See whether Prometheus or Tempo answers (Pipeline health). Measure again; raise queue_size in "
        "otel/collector.yaml when it happens under normal load.",
    ),
    Watch(
        name="TelemetryNotSent",
        expr=f"({_lost('send_failed')}) > 0",
        hold="1m",
        severity="warning",
        summary="The Collector cannot send {{ $labels.kind }} to {{ $labels.exporter }}.",
        meaning="Sending failed for good: the receiver refused the data, or was away for longer than the retries last.",
        cure="`docker compose logs otel-collector prometheus tempo`: out of order, too large, or not there.",
    ),
    Watch(
        name="QueueFilling",
        expr=f"max by (exporter, data_type) (otelcol_exporter_queue_size{{{_COLLECTOR}}} "
        f"/ otelcol_exporter_queue_capacity{{{_COLLECTOR}}}) > 0.8",
        hold="15s",
        severity="warning",
        summary="The queue of {{ $labels.exporter }} is {{ $value | humanizePercentage }} full.",
        meaning="Prometheus or Tempo takes less than comes; a full queue loses what comes.",
        cure="See Pipeline health: which exporter, and what its receiver does. Send less load, or give that part more "
        "of the machine.",
    ),
    Watch(
        name="RuleEvaluationFails",
        expr='sum by (rule_group) (rate(prometheus_rule_evaluation_failures_total{job="prometheus"}[5m])) > 0',
        hold="0s",
        severity="warning",
        summary="Rules of {{ $labels.rule_group }} cannot be evaluated.",
        meaning="An alert of that group may be silent although it should fire.",
        cure="Prometheus says why under Status, Rules. Run `python scripts/generate.py --check`.",
    ),
    Watch(
        name="BreakerOpen",
        expr='max by (provider) (resilience_circuitbreaker_state{state="open"}) > 0',
        hold="15s",
        severity="warning",
        summary="The circuit breaker of {{ $labels.provider }} is open.",
        meaning="The provider failed so often that its calls are rejected at once; jobs that need it fail.",
        cure="During a fault that a scenario injects this is what should happen. Otherwise see what the provider "
        "answers on the dashboard Reliability.",
    ),
    Watch(
        name="StatesWaitForStore",
        expr="sum by (instance) (video_jobs_unsaved) > 0",
        hold="1m",
        severity="warning",
        summary="{{ $value }} jobs of {{ $labels.instance }} wait for the store.",
        meaning="The job store is away; states are kept on disk and written back when it is there again.",
        cure="Start the store again. Keep the service's data directory: it holds the states that wait.",
    ),
)
