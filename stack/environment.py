"""The environment of every process of the embedded stack: one function, so that no two of them can disagree."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Mapping
from pathlib import Path

from stack.endpoints import LOADGEN, PROVIDERS, SERVICE, Endpoints

ROOT = Path(__file__).resolve().parents[1]
"""The checkout: working directory of the children, so that ``python -m service`` finds the package."""


def version() -> str:
    """Return this Reelbench's version: of the installed package, or else of the checkout."""
    try:
        return importlib.metadata.version("reelbench")
    except importlib.metadata.PackageNotFoundError:
        with (ROOT / "pyproject.toml").open("rb") as file:
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
    if name == SERVICE:
        environment["SERVICE_DATA_DIR"] = str(run_dir / "assets")
        if PROVIDERS in endpoints.api_ports:  # else the service's own settings name real providers
            environment |= {f"SERVICE_{kind}_URL": endpoints.url(PROVIDERS) for kind in ("LLM", "TTS", "IMAGE")}
    if name == LOADGEN:
        environment["PYTHONUNBUFFERED"] = "1"  # its standard error is the user's terminal
    return environment
