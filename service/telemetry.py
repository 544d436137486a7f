"""OpenTelemetry, configured only by the standard environment variables."""

from __future__ import annotations

import os
import sys
import uuid

from fastapi import FastAPI
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

_EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
_PROCESS_METRICS: dict[str, list[str] | None] = {
    "process.cpu.time": ["user", "system"],
    "process.cpu.utilization": ["user", "system"],
    "process.memory.usage": None,
    "process.memory.virtual": None,
    "process.open_file_descriptor.count": None,
    "process.thread.count": None,
    "process.context_switches": ["involuntary", "voluntary"],
    "cpython.gc.collections": None,
    "cpython.gc.collected_objects": None,
    "cpython.gc.uncollectable_objects": None,
}


def configure(service_name: str) -> None:
    """Set up the SDK from ``OTEL_*``; without an exporter in the environment, telemetry stays off.

    `service_name` applies unless ``OTEL_SERVICE_NAME`` or ``OTEL_RESOURCE_ATTRIBUTES`` sets another name. The process
    gets its own ``service.instance.id`` unless the environment sets one. An exporter that cannot start (unknown name,
    port in use) ends the process with one sentence and exit code 2.
    """
    if all(os.environ.get(name, "none") in {"", "none"} for name in _EXPORTERS):
        return
    # Imported here, so that a process without telemetry does not load the SDK.
    from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector  # noqa: PLC0415

    from reelbench import exposition  # noqa: PLC0415

    given = OTELResourceDetector().detect().attributes
    defaults = {"service.name": service_name, "service.instance.id": str(uuid.uuid4())}
    try:
        with exposition.scraped() as serve:
            _OTelSDKConfigurator().configure(  # type: ignore[no-untyped-call]
                resource_attributes={key: value for key, value in defaults.items() if key not in given}
            )
            serve()
    except (OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"Telemetry cannot start ({error}); check the OTEL_* environment variables.\n")
        raise SystemExit(2) from error
    SystemMetricsInstrumentor(config=_PROCESS_METRICS).instrument()


def shutdown(timeout: float = 1.5) -> None:
    """Flush and stop within about `timeout` seconds; does nothing when telemetry is off."""
    tracer_provider = trace.get_tracer_provider()
    if flush := getattr(tracer_provider, "force_flush", None):
        flush(int(timeout * 1000))
    for provider in (tracer_provider, metrics.get_meter_provider()):
        if stop := getattr(provider, "shutdown", None):
            stop()


def instrument(app: FastAPI, tracer_provider: TracerProvider, meter_provider: MeterProvider) -> None:
    """Add a SERVER span and ``http.server.request.duration`` per request, except for probes and fault plans."""
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        exclude_spans=["receive", "send"],
        excluded_urls="/health$,/ready$,/faults$",
    )
