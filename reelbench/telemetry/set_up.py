"""Set-up of OpenTelemetry in a process, from the standard environment variables alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext

from reelbench.telemetry.instance import INSTANCE

EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
SCRAPED = "prometheus"
"""Exporter that this package replaces by a faster one with the same output."""
SERIES, ALL, RECENT = "REELBENCH_SCRAPED_SERIES", "all", "recent"
"""Variable with the series of a scraped page: all, or without those of ended cases."""
_NO_PROXY = ("NO_PROXY", "no_proxy")
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

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


def exporters(variable: str, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the exporters that a variable such as ``OTEL_TRACES_EXPORTER`` names; ``none`` is no exporter."""
    names = (name.strip().lower() for name in environment.get(variable, "").split(","))
    return tuple(name for name in names if name not in {"", "none"})


def direct_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that exempt loopback from the proxies of the environment; none without a proxy.

    A proxy on another machine would send what is for this machine's loopback to its own.
    """
    if not any(name.lower() in _PROXIES and value for name, value in environment.items()):
        return {}
    found = {}
    for name in _NO_PROXY:
        known = environment.get(name) or environment.get(name.swapcase(), "")
        hosts = [host.strip() for host in known.split(",") if host.strip()]
        if hosts != ["*"]:
            found[name] = ",".join([*hosts, *(host for host in _LOOPBACK if host not in hosts)])
    return found


def configure(service_name: str, arguments: Mapping[type, Mapping[str, object]] | None = None) -> None:
    """Set up traces and metrics as ``OTEL_*`` says; without any exporter, telemetry stays off.

    The process gets a ``service.instance.id`` of its own unless the environment has one.

    Args:
        service_name: holds unless ``OTEL_SERVICE_NAME`` or ``OTEL_RESOURCE_ATTRIBUTES`` names another.
        arguments: keyword arguments of exporters by their class.

    Raises:
        OSError: the port for Prometheus is in use.
        RuntimeError: an unknown exporter.
        ValueError: a variable that cannot be read.
    """
    traces, metrics = exporters(EXPORTERS[0]), exporters(EXPORTERS[1])
    if not any(map(exporters, EXPORTERS)):
        return
    os.environ.update(direct_loopback(os.environ))
    # Imported here, so that a process without telemetry does not load the SDK.
    from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415

    from reelbench.telemetry import span_pipeline  # noqa: PLC0415

    given = OTELResourceDetector().detect().attributes
    attributes = {"service.name": service_name, "service.instance.id": INSTANCE}
    added = {key: value for key, value in attributes.items() if key not in given}
    recorded = span_pipeline.recordable(traces, os.environ)
    own = traces if recorded else span_pipeline.own_exporters(traces, os.environ)
    spans = span_pipeline.recording(traces, Resource.create(added), os.environ) if recorded else nullcontext()
    with spans, _hidden(EXPORTERS[0], own), _hidden(EXPORTERS[1], [SCRAPED]):
        _OTelSDKConfigurator().configure(  # type: ignore[no-untyped-call]
            resource_attributes=added, exporter_args_map=dict(arguments or {})
        )
    if not recorded:
        span_pipeline.add_exporters(own, os.environ)
    if SCRAPED in metrics:
        _serve_metrics()
    SystemMetricsInstrumentor(config=_PROCESS_METRICS).instrument()


def _serve_metrics() -> None:
    series = os.environ.get(SERIES) or ALL
    if series not in {ALL, RECENT}:
        raise ValueError(f"{SERIES} is {series!r}, use {ALL} or {RECENT}")
    from opentelemetry.metrics import get_meter_provider  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415

    from reelbench.telemetry.ended_series import EndedSeries  # noqa: PLC0415
    from reelbench.telemetry.exposition import ScrapeReader  # noqa: PLC0415
    from reelbench.telemetry.scrape_server import serve  # noqa: PLC0415

    provider = get_meter_provider()
    if isinstance(provider, MeterProvider):
        reader = ScrapeReader(EndedSeries() if series == RECENT else None)
        host = os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", "localhost")
        serve(reader, host, int(os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT", "9464")))
        provider.add_metric_reader(reader)


@contextmanager
def _hidden(variable: str, names: Collection[str]) -> Iterator[None]:
    """Hide exporters from the SDK's configurator, which finds exporters among installed entry points only."""
    before = os.environ.get(variable)
    if before is not None:
        os.environ[variable] = ",".join(one for one in exporters(variable) if one not in names) or "none"
    try:
        yield
    finally:
        if before is not None:
            os.environ[variable] = before
