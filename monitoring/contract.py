"""Everything that the processes record: instruments, with the names that Prometheus gives them, and spans."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from reelbench.telemetry import registry

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parent
FILES = {
    "service": _CHECKOUT / "service" / "metrics.yaml",
    "loadgen": _CHECKOUT / "loadgen" / "metrics.yaml",
    "providers": _CHECKOUT / "service" / "providers" / "metrics.yaml",
}
"""Declarations by component."""
SHARED = (_HERE / "metrics.yaml", _CHECKOUT / "telemetry" / "http_server.yaml")
"""Declarations of metrics that several processes record: of instrumentation libraries, and of HTTP requests."""
_UNITS = {"s": "seconds", "By": "bytes"}
PLACES = ("run_id", "scenario", "case")
"""Attributes that every measurement of a job has; a series with them belongs to one case of one run."""
STACK = (
    "ALERTS",
    "otelcol_exporter_enqueue_failed_metric_points",
    "otelcol_exporter_enqueue_failed_spans",
    "otelcol_exporter_queue_capacity",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_send_failed_metric_points",
    "otelcol_exporter_send_failed_spans",
    "otelcol_process_memory_rss",
    "otelcol_receiver_accepted_metric_points",
    "otelcol_receiver_accepted_spans",
    "otelcol_receiver_refused_metric_points",
    "otelcol_receiver_refused_spans",
    "process_resident_memory_bytes",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_tsdb_head_out_of_order_samples_appended_total",
    "prometheus_tsdb_head_samples_appended_total",
    "prometheus_tsdb_head_series",
    "tempo_discarded_spans_total",
    "tempo_distributor_spans_received_total",
    "tempo_request_duration_seconds",
    "tempo_request_duration_seconds_bucket",
    "traces_span_metrics_calls_total",
    "traces_span_metrics_duration_seconds",
    "traces_span_metrics_duration_seconds_bucket",
    "up",
)
"""Series of Collector, Prometheus and Tempo that dashboards and rules read. The Collector's own have no units and types
in their names, as otel/collector.yaml sets."""


class Instrument(msgspec.Struct, frozen=True):
    """One declared metric and the components that record it."""

    metric: registry.Metric
    components: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name in OpenTelemetry."""
        return self.metric.name

    @property
    def is_gauge(self) -> bool:
        """True when Prometheus has the metric as a gauge, whose rate means nothing."""
        return self.metric.instrument in {"gauge", "updowncounter"}

    @property
    def scraped(self) -> str:
        """The base name that the Prometheus exporter of Python gives."""
        return self._suffixed(_UNITS.get(self.metric.unit))

    @property
    def pushed(self) -> str:
        """The base name that Prometheus gives a metric that arrives by OTLP."""
        ratio = "ratio" if self.metric.unit == "1" and self.metric.instrument == "gauge" else None
        return self._suffixed(_UNITS.get(self.metric.unit, ratio))

    @property
    def series(self) -> frozenset[str]:
        """Every name that Prometheus can have for it: scraped or by OTLP, of a histogram classic or native."""
        parts = ("", "_bucket", "_sum", "_count") if self.metric.instrument == "histogram" else ("",)
        return frozenset(f"{name}{part}" for name in (self.scraped, self.pushed) for part in parts)

    def _suffixed(self, unit: str | None) -> str:
        tokens = self.name.replace(".", "_").split("_")
        if unit is not None and unit not in tokens:
            tokens.append(unit)
        return "_".join([*tokens, "total"] if self.metric.instrument == "counter" else tokens)


def load_instruments() -> tuple[Instrument, ...]:
    """Return every instrument, by name."""
    own = [Instrument(metric, (component,)) for component, path in FILES.items() for metric in registry.read(path)]
    shared = [Instrument(metric, metric.components) for path in SHARED for metric in registry.read(path)]
    return tuple(sorted((*own, *shared), key=lambda instrument: instrument.name))


def series(instruments: Iterable[Instrument]) -> frozenset[str]:
    """Return the names of series as Prometheus has them, with those of other programs of the stack."""
    return frozenset(name for instrument in instruments for name in instrument.series) | frozenset(STACK)


SPANS_FILE = Path(__file__).with_name("spans.yaml")


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of span."""

    name: str
    component: str
    kind: Literal["internal", "client", "server"]
    meaning: str
    attributes: tuple[str, ...]
    sometimes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()

    def matches(self, name: str) -> bool:
        """Return True when a span of this name can be of this kind."""
        parts = (part if part.startswith("<") else re.escape(part) for part in re.split(r"(<\w+>)", self.name))
        return re.fullmatch("".join(r"\S*" if part.startswith("<") else part for part in parts), name) is not None


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of span event."""

    name: str
    meaning: str
    attributes: tuple[str, ...]


class Traces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    spans: tuple[Span, ...]
    events: tuple[Event, ...]


def load_spans() -> Traces:
    """Return the declared spans and events."""
    return msgspec.yaml.decode(SPANS_FILE.read_bytes(), type=Traces)
