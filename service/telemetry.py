"""OpenTelemetry, configured only by the standard environment variables."""

from __future__ import annotations

import sys
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider
from starlette.types import ASGIApp

from reelbench.telemetry import propagation, set_up
from reelbench.telemetry.http_server import RecordExceptions, ServerTelemetry

_SCOPE = "reelbench.telemetry.http_server"
_SCHEMA = "https://opentelemetry.io/schemas/1.21.0"
"""The first version with the stable conventions for HTTP."""
_UNMEASURED = ("/health", "/ready", "/settings", "/faults", "/faults/calls")
"""Ends of the paths of probes and of the control of faults."""


class MeasuredApp(FastAPI):
    """A FastAPI application with a SERVER span and the metrics of each request, except for probes and fault plans.

    Telemetry goes to the global providers unless others are given. FastAPI's own telemetry stays off: it does not
    measure the sizes of bodies.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        **options: Any,
    ) -> None:
        super().__init__(telemetry={"tracing": False, "metrics": False, "logs": False}, **options)
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider, schema_url=_SCHEMA)
        self._meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider, schema_url=_SCHEMA)

    def build_middleware_stack(self) -> ASGIApp:
        """Build the middleware with telemetry around all of it."""
        self.add_middleware(RecordExceptions)
        return ServerTelemetry(
            super().build_middleware_stack(),
            lambda: iter_route_contexts(self.routes),  # type: ignore[arg-type, return-value] # with the attributes of routes
            tracer=self._tracer,
            meter=self._meter,
            unmeasured=_UNMEASURED,
        )


def configure(service_name: str) -> None:
    """Set up the SDK from ``OTEL_*``; an exporter that cannot start ends the process with one sentence and exit code 2.

    Raises:
        SystemExit: an unknown exporter, or the port for Prometheus is in use.
    """
    propagation.install()
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
