"""Alerts without an objective: components that are down, lost telemetry, a service that works around a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reelbench.monitoring.promql import Expr, formula, gauge, rate, select

_COLLECTOR = 'job="otel-collector"'


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `meaning` and `cure` are in the documentation, to which `runbook_url` links."""

    name: str
    expr: Expr
    hold: str
    """How long the condition must be true."""
    severity: str
    summary: str
    meaning: str
    cure: str
    labels: Mapping[str, str] = field(default_factory=dict)


def _lost(what: str) -> Expr:
    kinds = ("spans", "metric_points")
    parts = " or ".join(f'label_replace(${kind}, "kind", "{kind}", "", "")' for kind in kinds)
    rates = {
        kind: rate(f"otelcol_exporter_{what}_{kind}", _COLLECTOR, by=("exporter",), place=(), window="1m")
        for kind in kinds
    }
    return formula(f"({parts}) > 0", **rates)


ALERTS = (
    Alert(
        name="PartDown",
        expr=formula("$up == 0", up=select("up")),
        hold="15s",
        severity="critical",
        summary="Prometheus cannot scrape {{ $labels.job }} at {{ $labels.instance }}.",
        meaning="A component of the stack does not answer: Collector, Tempo or Prometheus itself.",
        cure="`docker compose ps` and `docker compose logs` of that component. While the Collector is down, the "
        "senders keep their metrics and send them later.",
    ),
    Alert(
        name="TelemetryLost",
        expr=_lost("enqueue_failed"),
        hold="0s",
        severity="critical",
        summary="The Collector drops {{ $labels.kind }} for {{ $labels.exporter }}: {{ $value | humanize }} per "
        "second.",
        meaning="A queue of the Collector is full, so new items are lost. Counts in the report will differ.",
        cure="Check whether Prometheus or Tempo answers (Pipeline health). Measure again; raise queue_size in "
        "otel/collector.yaml if the alert fires under normal load.",
    ),
    Alert(
        name="TelemetryNotSent",
        expr=_lost("send_failed"),
        hold="1m",
        severity="warning",
        summary="The Collector cannot send {{ $labels.kind }} to {{ $labels.exporter }}.",
        meaning="Sending failed permanently: the receiver rejected the data, or was down for longer than the retries.",
        cure="`docker compose logs otel-collector prometheus tempo`: out of order, too large, or no connection.",
    ),
    Alert(
        name="QueueFilling",
        expr=formula(
            "max by (exporter, data_type) ($size / $capacity) > 0.8",
            size=select("otelcol_exporter_queue_size", _COLLECTOR),
            capacity=select("otelcol_exporter_queue_capacity", _COLLECTOR),
        ),
        hold="15s",
        severity="warning",
        summary="The queue of {{ $labels.exporter }} is {{ $value | humanizePercentage }} full.",
        meaning="Prometheus or Tempo is slower than the telemetry arrives; a full queue drops new items.",
        cure="Find the exporter and its receiver on Pipeline health. Reduce the load, or give the receiver more of the "
        "machine.",
    ),
    Alert(
        name="RuleEvaluationFails",
        expr=formula(
            "$failures > 0",
            failures=rate(
                "prometheus_rule_evaluation_failures_total",
                'job="prometheus"',
                by=("rule_group",),
                place=(),
                window="5m",
            ),
        ),
        hold="0s",
        severity="warning",
        summary="Rules of {{ $labels.rule_group }} cannot be evaluated.",
        meaning="An alert of that group may not fire although its condition is true.",
        cure="The reason is in Prometheus under Status, Rules. Run `python scripts/generate.py --check`.",
    ),
    Alert(
        name="BreakerOpen",
        expr=formula(
            "$open > 0", open=gauge("resilience_circuitbreaker_state", 'state="open"', by=("provider",), function="max")
        ),
        hold="15s",
        severity="warning",
        summary="The circuit breaker of {{ $labels.provider }} is open.",
        meaning="The provider failed so often that its calls are rejected at once; jobs that need it fail.",
        cure="Expected during an injected fault. Otherwise see the provider's errors on the dashboard Reliability.",
    ),
    Alert(
        name="StatesWaitForStore",
        expr=formula("$waiting > 0", waiting=gauge("video_jobs_unsaved", by=("instance",))),
        hold="1m",
        severity="warning",
        summary="{{ $value }} jobs of {{ $labels.instance }} wait for the store.",
        meaning="The job store is down; the service keeps states on disk and writes them back after the outage.",
        cure="Start the store again. Keep the data directory of the service: it holds the waiting states.",
    ),
)
