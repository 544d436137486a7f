"""OpenTelemetry, configured only by the standard environment variables."""

from __future__ import annotations

import os
import sys

from fastapi import FastAPI
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from reelbench.telemetry import set_up


def configure(service_name: str) -> None:
    """Set up the SDK from ``OTEL_*``; an exporter that cannot start ends the process with one sentence and exit code 2.

    Raises:
        SystemExit: an unknown exporter, or the port for Prometheus is in use.
    """
    try:
        set_up.configure(service_name)
    except (OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"Telemetry cannot start ({error}); check the OTEL_* environment variables.\n")
        raise SystemExit(2) from error


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
