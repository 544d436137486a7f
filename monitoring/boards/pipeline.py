"""Whether the telemetry itself can be trusted."""

from __future__ import annotations

from reelbench.monitoring.panels import Board, Group, Kind, Line, Panel, Query
from reelbench.monitoring.promql import MEASURED, PLACE, Expr, formula, gauge, quantile, rate, select, total
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue

_UID = "reelbench-pipeline"
_COLLECTOR, _PROMETHEUS, _TEMPO = 'job="otel-collector"', 'job="prometheus"', 'job="tempo"'
_QUEUES = ("exporter", "data_type")


def _last(metric: str, *matchers: str, window: str) -> Expr:
    return total(metric, *PLACE, *matchers, by=("run_id", "scenario"), window=window)


def _counts(window: str) -> tuple[Expr, ...]:
    """Return jobs of client and server, with their difference."""
    client = _last("loadgen_jobs_total", window=window)
    accepted, server, refused = (
        _last(f"video_jobs_{name}total", MEASURED, window=window) for name in ("accepted_", "", "rejected_")
    )
    difference = formula(
        "$client - ($server or 0 * $client) - ($refused or 0 * $client)", client=client, server=server, refused=refused
    )
    return client, accepted, server, refused, difference


# fmt: off
_LOSSES = (
    ("otelcol_receiver_refused_spans", (), "refused spans"),
    ("otelcol_receiver_refused_metric_points", (), "refused metric points"),
    ("otelcol_exporter_send_failed_spans", ("exporter",), "failed spans {{exporter}}"),
    ("otelcol_exporter_send_failed_metric_points", ("exporter",), "failed metric points {{exporter}}"),
    ("otelcol_exporter_enqueue_failed_spans", ("exporter",), "dropped spans {{exporter}}"),
    ("otelcol_exporter_enqueue_failed_metric_points", ("exporter",), "dropped metric points {{exporter}}"),
)
_GROUPS = (
    Group("Client and server", [
        Line(8, [
            Panel("Jobs by client and server", "Totals of a run. Client = server + refused after the end of a run; a "
                  "difference is lost telemetry, or a job whose end the client does not know.", "short",
                  [Query(expr, now=True) for expr in _counts("$__range")], kind=Kind.TABLE, sort="Run",
                  columns={"run_id": "Run", "scenario": "Scenario", "Value #A": "Client", "Value #B": "Accepted",
                           "Value #C": "Server", "Value #D": "Refused", "Value #E": "Difference"}),
            Panel("Difference while it runs", "Jobs that ended for the client and not for the server, or the reverse; "
                  "a few are in transit between two exports.", "none",
                  [Query(_counts("5m")[-1], "{{run_id}} {{scenario}}")]),
        ]),
    ]),
    Group("OpenTelemetry Collector", [
        Line(8, [
            Panel("Queues of the exporters", "Queued items; a full queue drops new items.", "none",
                  [Query(gauge("otelcol_exporter_queue_size", _COLLECTOR, by=_QUEUES), "{{exporter}} {{data_type}}")]),
            Panel("Queue utilization", "Share of the capacity.", "percentunit",
                  [Query(formula(f"max by ({', '.join(_QUEUES)}) ($size / $capacity)",
                                 size=select("otelcol_exporter_queue_size", _COLLECTOR),
                                 capacity=select("otelcol_exporter_queue_capacity", _COLLECTOR)),
                         "{{exporter}} {{data_type}}")], top=1),
            Panel("Accepted", "Spans and metric points per second.", "ops",
                  [Query(rate("otelcol_receiver_accepted_spans", _COLLECTOR, place=()), "spans"),
                   Query(rate("otelcol_receiver_accepted_metric_points", _COLLECTOR, place=()), "metric points")]),
            Panel("Refused, failed and dropped", "Items per second; a value above 0 is a loss or a retry.", "ops",
                  [Query(rate(metric, _COLLECTOR, by=by, place=()), legend) for metric, by, legend in _LOSSES]),
        ]),
    ]),
    Group("Prometheus and Tempo", [
        Line(4, [
            Panel("Components up", "1: Prometheus can scrape the component.", "none",
                  [Query(select("up"), "{{job}}", now=True)], kind=Kind.STAT, sparkline=False),
            Panel("Series in memory", "A run adds a few thousand.", "short",
                  [Query(gauge("prometheus_tsdb_head_series", _PROMETHEUS))], kind=Kind.STAT),
            Panel("Samples out of order", "Late samples per second that were stored.", "ops",
                  [Query(rate("prometheus_tsdb_head_out_of_order_samples_appended_total", _PROMETHEUS, place=()))],
                  kind=Kind.STAT),
            Panel("Failed rule evaluations", "Failures per second.", "ops",
                  [Query(rate("prometheus_rule_evaluation_failures_total", _PROMETHEUS, place=()))], kind=Kind.STAT),
        ]),
        Line(8, [
            Panel("Samples stored", "Samples per second.", "ops",
                  [Query(rate("prometheus_tsdb_head_samples_appended_total", _PROMETHEUS, place=()), "samples")]),
            Panel("Memory of the stack", "Resident memory.", "bytes",
                  [Query(select("process_resident_memory_bytes", 'job=~"prometheus|tempo"'), "{{job}}"),
                   Query(select("otelcol_process_memory_rss", _COLLECTOR), "collector")]),
            Panel("Spans received and discarded by Tempo", "Spans per second.", "ops",
                  [Query(rate("tempo_distributor_spans_received_total", _TEMPO, place=()), "received"),
                   Query(rate("tempo_discarded_spans_total", _TEMPO, by=("reason",), place=()),
                         "discarded {{reason}}")]),
            Panel("P95 of a query to Tempo", "By route.", "s",
                  [Query(quantile(0.95, "tempo_request_duration_seconds", _TEMPO, by=("route",), place=()),
                         "{{route}}", exemplar=True)], to_traces=True),
        ]),
    ]),
)
# fmt: on


def build(_: Catalogue, _prices: Prices) -> Board:
    """Return the dashboard."""
    return Board(
        _UID,
        "Pipeline health",
        "Health of the telemetry itself: counts of both sides, Collector, Prometheus, Tempo.",
        _GROUPS,
    )
