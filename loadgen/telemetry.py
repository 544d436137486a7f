"""OpenTelemetry of this process, configured by the standard environment variables only."""

from __future__ import annotations

import os
import threading

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from reelbench.loadgen.record.address import shown_url
from reelbench.telemetry import set_up

FLUSH_SECONDS = 3.0
BUCKETS = 640
"""Buckets of an exponential histogram. With the SDK's default of 160, buckets are 2.2 % wide when the slowest job takes
6 times the fastest; with 640 they are 0.54 % wide up to a ratio of 32, so the error of P95 and P99 is below 1 %."""


class TelemetryError(Exception):
    """Invalid telemetry configuration; the message is one sentence."""


def configure(service_name: str) -> None:
    """Configure traces and metrics from the ``OTEL_*`` variables; without them, nothing is exported.

    Raises:
        TelemetryError: an unknown exporter, or the Prometheus port is in use.
    """
    try:
        set_up.configure(service_name, _precision())
    except OSError as error:
        address = ":".join(
            os.environ.get(f"OTEL_EXPORTER_PROMETHEUS_{part}", default)
            for part, default in (("HOST", "localhost"), ("PORT", "9464"))
        )
        raise TelemetryError(
            f"cannot serve metrics on {address} ({error.strerror}); set OTEL_EXPORTER_PROMETHEUS_PORT to a free port"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise TelemetryError(
            f"telemetry cannot be set up ({error}); correct the OTEL_* environment variables"
        ) from error


def tracer() -> trace.Tracer | None:
    """Return the tracer of this process; None: spans are not exported, and only ids are generated."""
    if (
        not set_up.exporters("OTEL_TRACES_EXPORTER")
        and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    ):
        return None
    return trace.get_tracer("loadgen")


def _precision() -> dict[type, dict[str, object]]:
    """Return arguments of the OTLP exporter: the resolution of exponential histograms."""
    kind = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
    if kind != "base2_exponential_bucket_histogram":
        return {}
    # Imported here: a scraped process does not need it at start-up.
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

    fine = ExponentialBucketHistogramAggregation(max_size=BUCKETS)
    return {OTLPMetricExporter: {"preferred_aggregation": {Histogram: fine}}}


def shutdown() -> None:
    """Flush spans and metrics, for at most `FLUSH_SECONDS`, so a dead receiver cannot block the exit."""

    def flush() -> None:
        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
            close = getattr(provider, "shutdown", None)  # the no-op providers have none
            if close is not None:
                close()

    thread = threading.Thread(target=flush, name="telemetry-flush", daemon=True)
    thread.start()
    thread.join(FLUSH_SECONDS)


def pulled() -> bool:
    """Return whether the metrics of this process are scraped."""
    return set_up.SCRAPED in set_up.exporters("OTEL_METRICS_EXPORTER")


def receiver() -> str:
    """Return where pushed telemetry goes, as it may be shown."""
    return shown_url(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"))


def interval() -> float:
    """Return the seconds between two exports of pushed metrics, equal for all components of a stack; 0 when scraped."""
    if "otlp" not in set_up.exporters("OTEL_METRICS_EXPORTER"):
        return 0.0
    return float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "60000")) / 1000
