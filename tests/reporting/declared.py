"""Every instrument of the components as it is declared, with the attributes that its measurements have."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints
from unittest.mock import patch

import msgspec
import yaml
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient
from opentelemetry.context import Context
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.metrics import CallbackOptions, NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Sum
from opentelemetry.trace import NoOpTracerProvider
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reelbench.loadgen import metrics as loadgen
from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.telemetry import _PROCESS_METRICS
from reelbench.reporting.catalogue.instruments import METRICS_FILE, PLACES, Instrument
from reelbench.service import metrics as service
from reelbench.service import telemetry
from reelbench.service.domain.correlation import Correlation
from reelbench.service.providers import metrics as providers
from reelbench.service.providers.app import create_app
from reelbench.service.providers.connections import counting
from reelbench.service.providers.settings import Settings as ProviderSettings

COMPONENTS = ("loadgen", "providers", "service")
JOB = JobRecord(
    scenario="scenario",
    case="case",
    index=0,
    warmup=False,
    due=0.0,
    sent=0.0,
    accepted=0.0,
    done=1.0,
    outcome=Outcome.COMPLETED,
    job_id="video_1",
    trace_id="0" * 32,
    bytes=1,
    deleted=False,
    integrity=None,
    error=None,
)
REQUEST = RequestRecord(
    scenario="scenario",
    case="case",
    index=0,
    warmup=False,
    operation="create",
    sent=0.0,
    duration=1.0,
    status=200,
    bytes=1,
)


class Recorded:
    """One instrument, and the attributes of each measurement."""

    def __init__(self, name: str, kind: str, unit: str, description: str, bounds: Sequence[float] | None) -> None:
        self.name, self.kind, self.unit, self.description = name, kind, unit, description
        self.bounds = tuple(bounds or ())
        self.seen: list[frozenset[str]] = []
        self.callbacks: Sequence[Callable[[CallbackOptions], Any]] = ()

    def add(self, _amount: float, attributes: Any = None, _context: Any = None) -> None:
        self.seen.append(frozenset(attributes or ()))

    record = add

    def collect(self) -> None:
        """Ask an observable one, as a reader does."""
        for callback in self.callbacks:
            for observation in callback(CallbackOptions()):
                self.add(observation.value, observation.attributes)

    def of(self, *components: str) -> Instrument:
        """As it stands in the list; places come last."""
        every = frozenset.intersection(*self.seen) if self.seen else frozenset()
        return Instrument(
            name=self.name,
            components=components,
            kind=self.kind,  # type: ignore[arg-type]
            unit=self.unit,
            description=self.description,
            attributes=tuple(sorted(every - set(PLACES)) + [place for place in PLACES if place in every]),
            sometimes=tuple(sorted(frozenset().union(*self.seen) - every)),
            bounds=self.bounds,
        )


class RecordingMeter(NoOpMeter):
    """Keeps what is declared: a reader in memory shows an instrument only after its first value."""

    def __init__(self) -> None:
        super().__init__("declared")
        self.instruments: dict[str, Recorded] = {}

    def _keep(
        self, kind: str, name: str, unit: str, description: str, *, bounds: Any = None, callbacks: Any = ()
    ) -> Any:
        made = Recorded(name, kind, unit, description, bounds)
        made.callbacks = callbacks or ()
        self.instruments[name] = made
        return made

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._keep("counter", name, unit, description)

    def create_observable_counter(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        return self._keep("counter", name, unit, description, callbacks=callbacks)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._keep("gauge", name, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Any = None, unit: str = "", description: str = ""
    ) -> Any:
        return self._keep("gauge", name, unit, description, callbacks=callbacks)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Any = None,
    ) -> Any:
        return self._keep("histogram", name, unit, description, bounds=explicit_bucket_boundaries_advisory)

    def declared(self, component: str) -> list[Instrument]:
        for made in self.instruments.values():
            made.collect()
        return [made.of(component) for made in self.instruments.values()]


class RecordingProvider(MeterProvider):
    """Gives the recording meter to whoever asks."""

    def __init__(self, meter: RecordingMeter) -> None:
        super().__init__()
        self.meter = meter

    def get_meter(self, *_: Any, **__: Any) -> Any:
        return self.meter


def instruments() -> list[Instrument]:
    """Every instrument, by name."""
    own = [*_loadgen(), *_service(), *_providers()]
    return sorted([*own, *_http(), *_process()], key=lambda instrument: instrument.name)


def _loadgen() -> list[Instrument]:
    meter = RecordingMeter()
    made = loadgen.Metrics(meter)
    made.job_started()
    made.job_ended("run", JOB, Context())
    made.request_ended("run", REQUEST, Context())
    return meter.declared("loadgen")


def _service() -> list[Instrument]:
    """Each method is called with values of its arguments' types, and those that may be None without them, too."""
    meter = RecordingMeter()
    made = service.Metrics(meter)
    made.caches(lambda: [("script", 1, 1)])
    made.media(lambda: 0.0, lambda: 0)
    for name, method in inspect.getmembers(made, inspect.ismethod):
        if name.startswith("_") or name in {"caches", "media"}:
            continue
        hints = get_type_hints(method)
        for absent in (False, True):
            arguments = [_sample(hints[argument], absent=absent) for argument in inspect.signature(method).parameters]
            method(*arguments)
    return meter.declared("service")


def _sample(kind: Any, *, absent: bool) -> Any:
    if kind == str | None:
        return None if absent else "text"
    return {str: "text", float: 1.0, int: 1, Correlation: Correlation("run", "scenario", "case")}[kind]


def _providers() -> list[Instrument]:
    """Of a good call, which counts everything, and of its connection."""
    meter = RecordingMeter()
    made = providers.create(RecordingProvider(meter))
    fast = ProviderSettings(llm={"median": 0.001})  # type: ignore[arg-type]
    with patch("reelbench.service.providers.metrics.create", return_value=made):
        app = create_app(fast)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Write."}]}
    assert TestClient(app).post("/v1/chat/completions", json=body).is_success
    with patch.object(HttpToolsProtocol, "on_headers_complete"):
        protocol = object.__new__(counting(made.connections))
        protocol.scope = {"path": "/"}  # type: ignore[assignment,typeddict-item]
        protocol.on_headers_complete()
    return meter.declared("providers")


def _http() -> list[Instrument]:
    """What the instrumentation of FastAPI measures of a good request and of one that fails."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    app = FastAPI()

    @app.post("/{status}")
    def answer(status: int) -> Response:
        return Response(b"body", status_code=status)

    # The library reads the variable once in a process, and another test may have come first.
    with (
        patch.dict(os.environ, OTEL_SEMCONV_STABILITY_OPT_IN="http"),
        patch.object(Stability, "_initialized", new=False),
        patch.dict(Stability._OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING),
    ):
        telemetry.instrument(app, NoOpTracerProvider(), provider)
        client = TestClient(app)
        for status in (200, 503):
            client.post(f"/{status}", content=b"body")
    try:
        return _read(reader, ("providers", "service"))
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
        provider.shutdown()


def _process() -> list[Instrument]:
    """What the instrumentation of the process gives, asked once."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    instrumentor = SystemMetricsInstrumentor(config=_PROCESS_METRICS)
    instrumentor.instrument(meter_provider=provider)
    try:
        return _read(reader, COMPONENTS)
    finally:
        instrumentor.uninstrument()
        provider.shutdown()


def _read(reader: InMemoryMetricReader, components: Sequence[str]) -> list[Instrument]:
    data = reader.get_metrics_data()
    assert data is not None
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    made = []
    for metric in (metric for scope in scopes for metric in scope.metrics):
        points = list(metric.data.data_points)
        kind, bounds = "gauge", ()
        if isinstance(metric.data, Histogram):
            kind, bounds = "histogram", points[0].explicit_bounds
        elif isinstance(metric.data, Sum) and metric.data.is_monotonic:
            kind = "counter"
        recorded = Recorded(metric.name, kind, metric.unit or "", metric.description or "", bounds)
        for point in points:
            recorded.add(0, point.attributes)
        made.append(recorded.of(*components))
    return made


class _Dumper(yaml.SafeDumper):
    """Lists within an instrument on lines of their own only where they are long."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    tuple, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


def listed(text: str) -> str:
    """The list of metrics with what is declared now; its comment and what is written by hand stay."""
    head, _, rest = text.partition("instruments:\n")
    _, _, by_hand = rest.partition("attributes:  # by hand\n")
    made = [
        {name: value for name, value in msgspec.structs.asdict(instrument).items() if value not in ("", ())}
        for instrument in instruments()
    ]
    listing = yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)
    return f"{head}instruments:\n{listing}attributes:  # by hand\n{by_hand}"


if __name__ == "__main__":
    METRICS_FILE.write_text(listed(METRICS_FILE.read_text()))
