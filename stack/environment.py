"""The environment and the command line of every process that a stack or a benchmark starts.

A test compares docker-compose.yml with this module.
"""

from __future__ import annotations

import importlib.metadata
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reelbench import CHECKOUT
from reelbench.loadgen.record.address import shown_url
from reelbench.stack.endpoints import LOADGEN, PROVIDERS, SERVICE, Endpoints

NO_TELEMETRY: Final = {"OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}
"""Switches all telemetry of a process off."""
_COMMON: Final = {
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
    "OTEL_PROPAGATORS": "tracecontext,baggage",
    "OTEL_BSP_SCHEDULE_DELAY": "1000",
    "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "512",
    # The trace stream is text on standard output: its encoding must not depend on the locale.
    "PYTHONUTF8": "1",
}


def version() -> str:
    """Return the version of Reelbench, from the checkout or else from the installed package."""
    if CHECKOUT is None:
        return importlib.metadata.version("reelbench")
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module of this package; its working directory must be `HOME`."""
    # In site-packages, -P keeps the working directory from shadowing the standard library.
    return [sys.executable, *(["-P"] if CHECKOUT is None else []), "-m", f"reelbench.{module}", *arguments]


def hand_over(addresses: Mapping[str, str | None]) -> tuple[list[str], dict[str, str]]:
    """Return the options with these addresses, and the environment that has the passwords of the addresses.

    The command line of a process can be read by every user of the machine, so an address with a password is named there
    by its variable only.

    Args:
        addresses: Option to its address; None: the option is left out.
    """
    words, environment = [], {}
    for option, url in addresses.items():
        if url is None:
            continue
        if shown_url(url) == url:
            words += [option, url]
            continue
        variable = f"REELBENCH_{option.strip('-').upper()}"
        words += [option, f"${{{variable}}}"]
        environment[variable] = url
    return words, environment


def scraped_telemetry(port: int) -> dict[str, str]:
    """Return the variables of a process whose metrics are scraped, and whose spans go to standard output.

    Args:
        port: Port of its ``/metrics`` on loopback.
    """
    return _COMMON | {
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_TRACES_EXPORTER": "otlp_json_file",
        # The scraped text format has no exemplars; selecting them would slow down every measurement.
        "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
    }


def pushed_telemetry(endpoint: str, interval: int) -> dict[str, str]:
    """Return the variables of a process that pushes metrics and spans to a Collector.

    Args:
        endpoint: Base URL of the OTLP/HTTP receiver.
        interval: Seconds between two exports of metrics.
    """
    return _COMMON | {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",  # costs a tenth of the CPU time
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
        "OTEL_METRIC_EXPORT_INTERVAL": str(interval * 1000),
    }


def component_environment(
    name: str, endpoints: Endpoints, run_dir: Path, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of a component of the embedded stack.

    Args:
        name: Its service.name.
        endpoints: Where the components of this stack are.
        run_dir: The run directory, absolute.
        inherited: The parent's environment.
    """
    environment = _named(name, "embedded", inherited) | scraped_telemetry(endpoints.metrics_ports[name])
    if name == PROVIDERS:
        environment["PROVIDERS_FAULTS"] = "true"  # safe: the stack is on loopback only
    if name == SERVICE:
        environment |= {
            "SERVICE_DATA_DIR": str(run_dir / "assets"),
            "SERVICE_FAULTS": "true",
            "SERVICE_ADMIN": "true",
        }
        if PROVIDERS in endpoints.api_ports:  # otherwise the service's own settings name real providers
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
        inherited: The parent's environment.
        also_to_file: Also write the spans to standard output, because the stack keeps no traces.
    """
    environment = _named(name, "compose", inherited) | pushed_telemetry(endpoint, interval)
    if also_to_file:
        environment["OTEL_TRACES_EXPORTER"] = "otlp,otlp_json_file"
    return environment | {"PYTHONUNBUFFERED": "1"}


def _named(name: str, deployment: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the parent's environment with the resource attributes, without the ``OTEL_*`` variables of the user."""
    return {key: value for key, value in inherited.items() if not key.startswith("OTEL_")} | {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={version()},deployment.environment.name={deployment}",
    }
