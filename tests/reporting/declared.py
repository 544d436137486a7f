"""The names that metrics have in Prometheus, from the declarations of the components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Sum

from loadgen import metrics as loadgen
from loadgen.telemetry import _PROCESS_METRICS
from reporting.known import METRICS_FILE
from service import metrics as service
from service.providers import metrics as providers

UNITS = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}
SEMCONV = {"http.server.request.duration": ("s", "histogram")}
"""Instruments of instrumentation libraries, which make them when the first request comes."""


class RecordingMeter(NoOpMeter):
    """Keeps what is declared: a reader in memory shows an instrument only after its first value."""

    def __init__(self) -> None:
        super().__init__("declared")
        self.instruments: dict[str, tuple[str, str]] = {}

    def _keep(self, name: str, unit: str, kind: str) -> None:
        self.instruments[name] = (unit, kind)

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        self._keep(name, unit, "counter")
        return super().create_counter(name, unit, description)

    def create_observable_counter(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        self._keep(name, unit, "counter")
        return super().create_observable_counter(name, callbacks, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        self._keep(name, unit, "gauge")
        return super().create_up_down_counter(name, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Any = None, unit: str = "", description: str = ""
    ) -> Any:
        self._keep(name, unit, "gauge")
        return super().create_observable_up_down_counter(name, callbacks, unit, description)

    def create_histogram(self, name: str, unit: str = "", description: str = "", **_: Any) -> Any:
        self._keep(name, unit, "histogram")
        return super().create_histogram(name, unit, description)


class RecordingProvider(MeterProvider):
    """Gives the recording meter to whoever asks."""

    def __init__(self, meter: RecordingMeter) -> None:
        super().__init__()
        self.meter = meter

    def get_meter(self, *_: Any, **__: Any) -> Any:
        return self.meter


def instruments() -> dict[str, tuple[str, str]]:
    """OpenTelemetry name of every instrument of ours, with its unit and kind."""
    meter = RecordingMeter()
    loadgen.Metrics(meter)
    declared = service.Metrics(meter)
    declared.caches(list)
    declared.media(lambda: 0.0, lambda: 0)
    providers.create(RecordingProvider(meter))
    return meter.instruments | _process() | SEMCONV


def prometheus_names(found: dict[str, tuple[str, str]]) -> set[str]:
    """Every series name, scraped or by OTLP: unit and kind become suffixes; a histogram is classic or native."""
    names: set[str] = set()
    for name, (unit, kind) in found.items():
        base = name.replace(".", "_") + UNITS.get(unit, "")
        if kind == "counter":
            names.add(f"{base}_total")
        elif kind == "gauge":
            names.add(base)
        else:
            names |= {base, *(f"{base}_{part}" for part in ("bucket", "sum", "count"))}
    return names


def _process() -> dict[str, tuple[str, str]]:
    """What the instrumentation of the process gives, asked once."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    instrumentor = SystemMetricsInstrumentor(config=_PROCESS_METRICS)
    instrumentor.instrument(meter_provider=provider)
    try:
        data = reader.get_metrics_data()
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
    assert data is not None
    found = {}
    for metric in _flat(data.resource_metrics):
        kind = (
            "histogram"
            if isinstance(metric.data, Histogram)
            else "counter"
            if isinstance(metric.data, Sum) and metric.data.is_monotonic
            else "gauge"
        )
        found[metric.name] = (metric.unit or "", kind)
    return found


def _flat(resources: Sequence[Any]) -> list[Any]:
    return [metric for resource in resources for scope in resource.scope_metrics for metric in scope.metrics]


def listed(text: str) -> str:
    """The list of metrics with what is declared now; its comment and what others give stay."""
    head, _, rest = text.partition("declared:\n")
    _, _, stack = rest.partition("stack:\n")
    names = "".join(f"  - {name}\n" for name in sorted(prometheus_names(instruments())))
    return f"{head}declared:\n{names}stack:\n{stack}"


if __name__ == "__main__":
    METRICS_FILE.write_text(listed(METRICS_FILE.read_text()))
