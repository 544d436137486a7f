"""The environment of every process that a stack starts: one place, so that no two of them can disagree."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Mapping
from pathlib import Path

from reelbench import HOME
from reelbench.stack.endpoints import LOADGEN, PROVIDERS, SERVICE, Endpoints


def version() -> str:
    """Return this Reelbench's version: of the installed package, or else of the checkout."""
    try:
        return importlib.metadata.version("reelbench")
    except importlib.metadata.PackageNotFoundError:
        with (HOME / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])


def component_environment(
    name: str, endpoints: Endpoints, run_dir: Path, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of a component.

    Args:
        name: Its service.name.
        endpoints: Where the components of this stack are.
        run_dir: The run directory, absolute.
        inherited: The parent's environment. Its ``OTEL_*`` are left out: the telemetry of a run is not the user's.
    """
    environment = {key: value for key, value in inherited.items() if not key.startswith("OTEL_")}
    environment |= {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={version()},deployment.environment.name=embedded",
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_TRACES_EXPORTER": "otlp_json_file",
        "OTEL_LOGS_EXPORTER": "none",
        # The text format that is scraped here has no exemplars: choosing them would cost every measurement.
        "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(endpoints.metrics_ports[name]),
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "512",
        # The trace stream is text on standard output: the locale must not decide how it is encoded.
        "PYTHONUTF8": "1",
    }
    if name == PROVIDERS:
        environment["PROVIDERS_FAULTS"] = "true"  # the stack is on loopback alone, and there to be tried
    if name == SERVICE:
        environment |= {
            "SERVICE_DATA_DIR": str(run_dir / "assets"),
            "SERVICE_FAULTS": "true",
            "SERVICE_ADMIN": "true",
        }
        if PROVIDERS in endpoints.api_ports:  # else the service's own settings name real providers
            environment |= {f"SERVICE_{kind}_URL": endpoints.url(PROVIDERS) for kind in ("LLM", "TTS", "IMAGE")}
    if name == LOADGEN:
        environment["PYTHONUNBUFFERED"] = "1"  # its standard error is the user's terminal
    return environment


def pushing_environment(
    name: str, endpoint: str, interval: int, inherited: Mapping[str, str], *, also_to_file: bool = False
) -> dict[str, str]:
    """Return the whole environment of a component that pushes to a Collector, as in docker-compose.yml.

    Args:
        name: Its service.name.
        endpoint: Base URL of the OTLP/HTTP receiver.
        interval: Seconds between two exports of metrics.
        inherited: The parent's environment. Its ``OTEL_*`` are left out: the telemetry of a run is not the user's.
        also_to_file: Also write the traces to standard output, where there is no store for them.
    """
    environment = {key: value for key, value in inherited.items() if not key.startswith("OTEL_")}
    return environment | {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={version()},deployment.environment.name=compose",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_TRACES_EXPORTER": "otlp,otlp_json_file" if also_to_file else "otlp",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
        "OTEL_METRIC_EXPORT_INTERVAL": str(interval * 1000),
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "512",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
    }
