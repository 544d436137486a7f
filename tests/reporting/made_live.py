"""The made runs as Prometheus data during the runs: counters rise over time, and the stack's metrics are included."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from tests.reporting.made_run import RUN_ID, START, MadeRun

STEP = 5
LENGTH = 180
"""Seconds; every series is sampled from START on."""
END = START + LENGTH
_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
Labels = tuple[tuple[str, str], ...]

PLACE = f'run_id="{RUN_ID}",scenario="cache_efficiency",case="warm",job="service"'
RISING = (
    *(f'process_cpu_time_seconds_total{{job="{job}",type="user"}}' for job in ("service", "providers", "loadgen")),
    "media_process_cpu_time_seconds_total{}",
    *(f'cache_requests_total{{cache="{cache}",result="{result}",{PLACE}}}'
      for cache in ("script", "audio", "visual") for result in ("hit", "miss", "coalesced")),
    f'cache_io_saved_bytes_total{{cache="audio",{PLACE}}}',
    f'cache_time_saved_seconds_total{{cache="audio",{PLACE}}}',
    f'dependency_io_bytes_total{{dependency="tts",direction="received",{PLACE}}}',
    f'http_client_connections_opened_total{{provider="tts",{PLACE}}}',
    f'http_client_connections_reused_total{{provider="tts",{PLACE}}}',
    *(f'video_usage_total{{kind="{kind}",{PLACE}}}'
      for kind in ("input_tokens", "output_tokens", "characters", "images")),
    'resilience_circuitbreaker_calls_total{provider="llm",kind="failed"}',
    'resilience_circuitbreaker_transitions_total{provider="llm",from="closed",to="open"}',
    'provider_requests_total{provider="tts",outcome="error"}',
    "video_jobs_lost_total{}",
    'otelcol_receiver_accepted_spans{job="otel-collector"}',
    'otelcol_receiver_accepted_metric_points{job="otel-collector"}',
    'otelcol_receiver_refused_spans{job="otel-collector"}',
    'otelcol_receiver_refused_metric_points{job="otel-collector"}',
    *(f'otelcol_exporter_{what}_{kind}{{job="otel-collector",exporter="e"}}'
      for what in ("send_failed", "enqueue_failed") for kind in ("spans", "metric_points")),
    'prometheus_tsdb_head_out_of_order_samples_appended_total{job="prometheus"}',
    'prometheus_tsdb_head_samples_appended_total{job="prometheus"}',
    'prometheus_rule_evaluation_failures_total{job="prometheus"}',
    'tempo_distributor_spans_received_total{job="tempo"}',
    'tempo_discarded_spans_total{job="tempo",reason="trace_too_large"}',
    'traces_span_metrics_calls_total{job="service",status_code="STATUS_CODE_UNSET"}',
)  # fmt: skip
"""Series of counters that the made runs do not have."""
STEADY = (
    "loadgen_jobs_in_flight{}",
    'video_jobs_active{state="queued"}',
    'video_jobs_active{state="running"}',
    'process_memory_usage_bytes{job="service",instance="a"}',
    "media_process_memory_usage_bytes{}",
    'process_thread_count{job="service"}',
    'cache_size_bytes{cache="audio"}',
    'resilience_circuitbreaker_state{provider="llm",state="open"}',
    'resilience_circuitbreaker_state{provider="tts",state="closed"}',
    'ALERTS{alertname="PartDown",alertstate="firing",severity="critical"}',
    'up{job="prometheus"}',
    'otelcol_exporter_queue_size{job="otel-collector",exporter="e",data_type="traces"}',
    'otelcol_exporter_queue_capacity{job="otel-collector",exporter="e",data_type="traces"}',
    'otelcol_process_memory_rss{job="otel-collector"}',
    'process_resident_memory_bytes{job="prometheus"}',
    'prometheus_tsdb_head_series{job="prometheus"}',
    f"video_jobs_unsaved{{{PLACE}}}",
)  # fmt: skip
"""Series of gauges that the made runs do not have."""
HISTOGRAMS = (
    'gen_ai_client_operation_duration_seconds{gen_ai_provider_name="tts",error_type="503"}',
    'db_client_operation_duration_seconds{db_operation_name="get"}',
    'http_client_connect_duration_seconds{provider="tts"}',
    'tempo_request_duration_seconds{job="tempo",route="api_search"}',
    'traces_span_metrics_duration_seconds{job="service",span_kind="SPAN_KIND_SERVER"}',
)
"""Histograms that the made runs do not have."""


def openmetrics(runs: Iterable[MadeRun]) -> str:
    """All series with a sample every `STEP` seconds."""
    lines: list[str] = []
    for run in runs:
        for (name, labels), value in run.series.counters.items():
            lines.extend(_ramp(f"{name}{{{_text(labels)}}}", value))
        for (name, labels), values in run.series.observed.items():
            lines.extend(_histogram(name, _text(labels), sorted(values)))
    for series in RISING:
        lines.extend(_ramp(series, 360.0))
    for series in STEADY:
        lines.extend(f"{series} 1 {at}" for at in _instants())
    for series in HISTOGRAMS:
        name, _, matchers = series.removesuffix("}").partition("{")
        lines.extend(_histogram(name, matchers, [0.2] * 90 + [1.5] * 10))
    return "\n".join([*lines, "# EOF", ""])


def names() -> set[str]:
    """Names of the series in addition to those of the made runs; for histograms the base name."""
    return {series.partition("{")[0] for series in (*RISING, *STEADY, *HISTOGRAMS)}


def _histogram(name: str, labels: str, ordered: list[float]) -> Iterator[str]:
    for bound in _BOUNDS:
        yield from _ramp(f'{name}_bucket{{{labels},le="{bound}"}}', bisect_right(ordered, bound))
    yield from _ramp(f'{name}_bucket{{{labels},le="+Inf"}}', len(ordered))
    yield from _ramp(f"{name}_sum{{{labels}}}", sum(ordered))
    yield from _ramp(f"{name}_count{{{labels}}}", len(ordered))


def _ramp(series: str, total: float) -> Iterator[str]:
    return (f"{series} {total * (at - START) / LENGTH!r} {at}" for at in _instants())


def _instants() -> list[float]:
    return [START + offset for offset in range(0, LENGTH + 1, STEP)]


def _text(labels: Labels) -> str:
    return ",".join(f'{key}="{word}"' for key, word in labels)
