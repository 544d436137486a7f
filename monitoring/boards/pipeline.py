"""Whether the telemetry itself can be trusted."""

from __future__ import annotations

from reelbench.monitoring.boards.parts import ask, board, chart, stat, table
from reelbench.monitoring.grafana import Dashboard
from reelbench.monitoring.layout import Group, Line
from reelbench.monitoring.promql import MEASURED, PLACE, quantile, rate
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue

UID = "reelbench-pipeline"
_LAST = "sum by (run_id, scenario) (last_over_time(%s[$__range]))"


def build(_: Catalogue, _prices: Prices) -> Dashboard:
    """The dashboard."""
    client = _LAST % f"loadgen_jobs_total{{{PLACE}}}"
    accepted = _LAST % f"video_jobs_accepted_total{{{PLACE},{MEASURED}}}"
    server = _LAST % f"video_jobs_total{{{PLACE},{MEASURED}}}"
    refused = _LAST % f"video_jobs_rejected_total{{{PLACE},{MEASURED}}}"
    difference = f"{client} - ({server} or 0 * {client}) - ({refused} or 0 * {client})"
    counts = Group(
        "Client and server",
        [
            Line(
                8,
                [
                    table("Jobs by client and server", "Totals of a run. Client = server + refused, once a run has "
                          "ended; what differs was lost on the way, or a job whose end the client does not know.",
                          [ask(expr, now=True, table=True) for expr in (client, accepted, server, refused, difference)],
                          names={"run_id": "Run", "scenario": "Scenario", "Value #A": "Client", "Value #B": "Accepted",
                                 "Value #C": "Server", "Value #D": "Refused", "Value #E": "Difference"}, sort="Run"),
                    chart("Difference while it runs", "Jobs that ended for the client and not for the server, or the "
                          "other way round; between exports a few are on their way.", "none",
                          [ask(difference.replace("$__range", "5m"), "{{run_id}} {{scenario}}")]),
                ],
            )
        ],
    )  # fmt: skip
    collector = 'job="otel-collector"'
    collecting = Group(
        "OpenTelemetry Collector",
        [
            Line(
                8,
                [
                    chart("Queues of the exporters", "Items that wait; full queues lose what comes.", "none",
                          [ask(f"sum by (exporter, data_type) (otelcol_exporter_queue_size{{{collector}}})",
                               "{{exporter}} {{data_type}}")]),
                    chart("Fill of the queues", "Share of the capacity.", "percentunit",
                          [ask(f"max by (exporter, data_type) (otelcol_exporter_queue_size{{{collector}}} "
                               f"/ otelcol_exporter_queue_capacity{{{collector}}})", "{{exporter}} {{data_type}}")],
                          top=1),
                    chart("Accepted", "Spans and metric points a second.", "ops",
                          [ask(rate("otelcol_receiver_accepted_spans", collector), "spans"),
                           ask(rate("otelcol_receiver_accepted_metric_points", collector), "metric points")]),
                    chart("Refused, failed and dropped", "A second; anything but nothing is a loss or a retry.", "ops",
                          [ask(rate(f"otelcol_{what}", collector, by=("exporter",) if "{{" in legend else ()),
                               legend)
                           for what, legend in (
                               ("receiver_refused_spans", "refused spans"),
                               ("receiver_refused_metric_points", "refused metric points"),
                               ("exporter_send_failed_spans", "failed spans {{exporter}}"),
                               ("exporter_send_failed_metric_points", "failed metric points {{exporter}}"),
                               ("exporter_enqueue_failed_spans", "dropped spans {{exporter}}"),
                               ("exporter_enqueue_failed_metric_points", "dropped metric points {{exporter}}"))]),
                ],
            )
        ],
    )  # fmt: skip
    prometheus = 'job="prometheus"'
    storing = Group(
        "Prometheus and Tempo",
        [
            Line(
                4,
                [
                    stat("Parts that answer", "1: Prometheus could scrape it.", "none",
                         [ask("up", "{{job}}", now=True)],
                         graph="none"),
                    stat("Series in memory", "A run adds a few thousand.", "short",
                         [ask(f"sum(prometheus_tsdb_head_series{{{prometheus}}})")]),
                    stat("Samples out of order", "A second: late ones that were still taken.", "ops",
                         [ask(rate("prometheus_tsdb_head_out_of_order_samples_appended_total", prometheus))]),
                    stat("Rules that failed", "A second.", "ops",
                         [ask(rate("prometheus_rule_evaluation_failures_total", prometheus))]),
                ],
            ),
            Line(
                8,
                [
                    chart("Samples stored", "A second.", "ops",
                          [ask(rate("prometheus_tsdb_head_samples_appended_total", prometheus), "samples")]),
                    chart("Memory of the stack", "Resident memory.", "bytes",
                          [ask('process_resident_memory_bytes{job=~"prometheus|tempo"}', "{{job}}"),
                           ask(f"otelcol_process_memory_rss{{{collector}}}", "collector")]),
                    chart("Spans that Tempo took and discarded", "A second.", "ops",
                          [ask(rate("tempo_distributor_spans_received_total", 'job="tempo"'), "received"),
                           ask(rate("tempo_discarded_spans_total", 'job="tempo"', by=("reason",)),
                               "discarded {{reason}}")]),
                    chart("P95 of a query to Tempo", "By route.", "s",
                          [ask(quantile(0.95, "tempo_request_duration_seconds", 'job="tempo"', by=("route",)),
                               "{{route}}", exemplar=True)], to_traces=True),
                ],
            ),
        ],
    )  # fmt: skip
    return board(
        UID,
        "Pipeline health",
        "Whether the telemetry itself can be trusted: counts of both sides, Collector, Prometheus, Tempo.",
        [counts, collecting, storing],
    )
