"""OpenTelemetry of this process: set up by the standard environment variables, and by nothing else."""

from __future__ import annotations

import os
import threading
import uuid

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from reelbench import exposition
from reelbench.loadgen.http.trace_headers import IdTracer

FLUSH_SECONDS = 3.0
BUCKETS = 640
"""Of an exponential histogram. With the SDK's 160, buckets are 2.2 % wide once the slowest job took 6 times the
fastest; with these they are 0.54 % wide up to 32 times, so that P95 and P99 stay within 1 %."""

_PROCESS_METRICS: dict[str, list[str] | None] = {
    "process.context_switches": ["involuntary", "voluntary"],
    "process.cpu.time": ["user", "system"],
    "process.cpu.utilization": ["user", "system"],
    "process.memory.usage": None,
    "process.memory.virtual": None,
    "process.open_file_descriptor.count": None,
    "process.thread.count": None,
    "cpython.gc.collections": None,
    "cpython.gc.collected_objects": None,
    "cpython.gc.uncollectable_objects": None,
}


class TelemetryError(Exception):
    """Telemetry that cannot be set up as the environment asks; the message is one sentence."""


def configure(service_name: str) -> None:
    """Set up traces and metrics as the ``OTEL_*`` variables say; with none of them set, nothing is exported.

    Raises:
        TelemetryError: an unknown exporter, or the port for Prometheus is taken.
    """
    given = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    attributes = {}
    if "service.name=" not in given and not os.environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = service_name
    if "service.instance.id=" not in given:
        attributes["service.instance.id"] = str(uuid.uuid4())
    try:
        with exposition.scraped() as serve:
            _OTelSDKConfigurator().configure(  # type: ignore[no-untyped-call]
                resource_attributes=attributes, exporter_args_map=_precision()
            )
            serve()
    except OSError as error:
        address = ":".join(
            os.environ.get(f"OTEL_EXPORTER_PROMETHEUS_{part}", default)
            for part, default in (("HOST", "localhost"), ("PORT", "9464"))
        )
        msg = f"cannot serve metrics on {address} ({error.strerror}); set OTEL_EXPORTER_PROMETHEUS_PORT to a free port"
        raise TelemetryError(msg) from error
    except (RuntimeError, ValueError) as error:
        msg = f"telemetry cannot be set up ({error}); correct the OTEL_* environment variables"
        raise TelemetryError(msg) from error
    SystemMetricsInstrumentor(config=_PROCESS_METRICS).instrument()


def tracer() -> trace.Tracer:
    """The tracer of this process: one that only makes ids where spans would be recorded for nobody."""
    nobody = os.environ.get("OTEL_TRACES_EXPORTER", "none").strip().lower() in {"", "none"}
    if nobody and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true":
        return IdTracer()
    return trace.get_tracer("loadgen")


def _precision() -> dict[type, dict[str, object]]:
    """Arguments of the OTLP exporter: the environment chooses the kind of histogram, this its resolution."""
    kind = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
    if kind != "base2_exponential_bucket_histogram":
        return {}
    # Loaded here, as a process that is scraped should not pay for it at its start.
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

    fine = ExponentialBucketHistogramAggregation(max_size=BUCKETS)
    return {OTLPMetricExporter: {"preferred_aggregation": {Histogram: fine}}}


def shutdown() -> None:
    """Flush spans and metrics; gives up after `FLUSH_SECONDS`, so that a dead receiver never holds the process."""

    def flush() -> None:
        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
            close = getattr(provider, "shutdown", None)  # the no-op providers have none
            if close is not None:
                close()

    thread = threading.Thread(target=flush, name="telemetry-flush", daemon=True)
    thread.start()
    thread.join(FLUSH_SECONDS)


def pulled() -> bool:
    """Tell whether metrics leave this process by being scraped."""
    return "prometheus" in os.environ.get("OTEL_METRICS_EXPORTER", "").split(",")


def interval() -> float:
    """Seconds between two exports of metrics that are pushed, which all components of a stack share; 0 when scraped."""
    if "otlp" not in os.environ.get("OTEL_METRICS_EXPORTER", "").split(","):
        return 0.0
    return float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "60000")) / 1000
