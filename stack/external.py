"""Finds a stack that already runs, such as that of docker compose, and checks each part of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from reelbench import HOME
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.run_files import SCHEMA_VERSION, TRACES_DIR
from reelbench.loadgen.record.stack import ComponentRecord, PrometheusRecord, StackRecord, write_stack
from reelbench.stack import dotenv, http, readiness
from reelbench.stack.endpoints import LOADGEN, PROVIDERS, SERVICE
from reelbench.stack.environment import module_command, pushing_environment, version
from reelbench.stack.errors import StackError
from reelbench.stack.processes import Child, Processes
from reelbench.stack.readiness import TelemetryEnd, await_telemetry

VARIABLES = {
    "service": "SERVICE_URL",
    "prometheus": "PROMETHEUS_URL",
    "tempo": "TEMPO_URL",
    "collector": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "providers": "PROVIDERS_URL",
    "grafana": "GRAFANA_URL",
}
"""Part of a stack -> variable for its address, if it differs from docker compose's."""
_REQUIRED = ("service", "prometheus")
SETTLE_DEADLINE = 30.0
"""Seconds to wait for the last component: one interval, and the Collector's retries after an outage of Prometheus."""
_EXPORTED = "process_thread_count"
"""A gauge that is in every export of every component."""
_TIMEOUT = 2.0
_RECEIVER = frozenset({200, 405})
"""Statuses with which an OTLP receiver answers a GET; it accepts only POST."""
_FIRST_METRICS = 20.0
"""Seconds until Prometheus must have the first metrics of a newly started service."""


class _Videos(msgspec.Struct):
    object: str
    data: list[msgspec.Raw]


class _Build(msgspec.Struct):
    version: str


class _BuildInfo(msgspec.Struct):
    status: str
    data: _Build


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs of the parts of a stack."""

    service: str
    prometheus: str
    tempo: str
    """Base URL of Tempo. If empty, the stack keeps no traces; the load generator's are then in the run directory."""
    collector: str
    """The OTLP/HTTP receiver."""
    providers: str = ""
    """The mock providers, in which scenarios inject faults; empty when their address is unknown."""
    grafana: str = ""
    """Grafana, for annotations and links; empty without Grafana, which a run does not need."""


def published(settings: Mapping[str, str]) -> Addresses:
    """Return the addresses at which docker compose publishes the stack with these settings."""
    names = ("SERVICE_PORT", "PROMETHEUS_PORT", "TEMPO_PORT", "OTLP_PORT", "PROVIDERS_PORT", "GRAFANA_PORT")
    return Addresses(*(f"http://127.0.0.1:{settings[name]}" for name in names))


@dataclass(frozen=True, slots=True)
class ExternalStack:
    """A running stack of Reelbench with all its parts."""

    addresses: Addresses
    prometheus_version: str
    interval: int = 5
    """Seconds between two exports."""


class ExternalRun:
    """A run on an external stack; only the load generator is started.

    Args:
        stack: The stack.
        run_dir: The run directory; ``stack.json`` goes there.
        environment: The environment that the load generator inherits.
    """

    def __init__(self, stack: ExternalStack, run_dir: Path, *, environment: Mapping[str, str] = os.environ) -> None:
        self._stack = stack
        self._run_dir = run_dir.resolve()
        self._inherited = environment
        self._processes = Processes()

    def __enter__(self) -> Self:
        self._write(None)
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.stop()

    @property
    def target(self) -> str:
        """Base URL of the service under test, with its password if it has one."""
        return self._stack.addresses.service

    @property
    def providers(self) -> str | None:
        """Base URL of the mock providers; None when they are not known."""
        return self._stack.addresses.providers or None

    @property
    def grafana_url(self) -> str | None:
        """Base URL of Grafana; None without Grafana."""
        return self._stack.addresses.grafana or None

    @property
    def prometheus_url(self) -> str:
        """Base URL of Prometheus."""
        return self._stack.addresses.prometheus

    def start_loadgen(self, arguments: Sequence[str], secrets: Mapping[str, str] | None = None) -> Child:
        """Start ``python -m reelbench.loadgen`` with these arguments; telemetry goes to the Collector.

        Secrets are variables for the environment of this process alone.
        """
        keeps_traces = bool(self._stack.addresses.tempo)
        return self._processes.start(
            LOADGEN,
            module_command("loadgen", *arguments),
            environment=pushing_environment(
                LOADGEN,
                self._stack.addresses.collector,
                self._stack.interval,
                self._inherited,
                also_to_file=not keeps_traces,
            )
            | dict(secrets or {}),
            directory=HOME,
            stdout=None if keeps_traces else self._run_dir / TRACES_DIR / f"{LOADGEN}.jsonl",
        )

    def await_telemetry(self, after: float, *, ahead: float = 0.0, deadline: float = SETTLE_DEADLINE) -> TelemetryEnd:
        """Wait until every component has exported at or after `after` (Unix time in seconds), and record the result."""
        # target_info is unsuitable: the Collector's span metrics also have one, with other sample times.
        selectors = {name: f'{_EXPORTED}{{job="{name}"}}' for name in (SERVICE, PROVIDERS, LOADGEN)}
        settled = await_telemetry(self.prometheus_url, selectors, after, value=None, deadline=deadline, ahead=ahead)
        self._write(settled)
        return settled

    def troubles(self) -> list[str]:
        """Return nothing: Reelbench did not start these processes and cannot see their logs."""
        return []

    def _write(self, settled: TelemetryEnd | None) -> None:
        addresses = self._stack.addresses
        record = StackRecord(
            schema_version=SCHEMA_VERSION,
            kind="external",
            components=(
                ComponentRecord(name=SERVICE, url=shown_url(addresses.service), version=None),
                ComponentRecord(name=PROVIDERS, url=None, version=None),
                ComponentRecord(name=LOADGEN, url=None, version=version()),
            ),
            prometheus=PrometheusRecord(
                url=shown_url(addresses.prometheus),
                version=self._stack.prometheus_version,
                data_dir=None,
                scrape_interval=float(self._stack.interval),
            ),
            traces_url=shown_url(addresses.tempo) or None,
            grafana_url=shown_url(addresses.grafana) or None,
            settled_at=settled.instant if settled else None,
            settled=bool(settled and settled.complete),
        )
        write_stack(self._run_dir, record)


def find_external(
    report: Callable[[str], None],
    *,
    environment: Mapping[str, str] = os.environ,
    defaults: Addresses | None = None,
    first_metrics: float = _FIRST_METRICS,
) -> ExternalStack | None:
    """Return the stack at the addresses in the environment (`VARIABLES`), or else at docker compose's addresses.

    Args:
        report: Receives one line when other servers answer at the default addresses.
        environment: Holds the variables; each defaults to docker compose's address.
        defaults: Addresses when the environment names none; default: what docker compose publishes.
        first_metrics: Seconds to wait until Prometheus has metrics of the service.

    Returns:
        None when no address is named and no stack of Reelbench answers at the default addresses.

    Raises:
        StackError: an address is named and the stack is not there, or a part of the stack is missing.
    """
    settings = dotenv.read(environment=environment)
    defaults = defaults or published(settings)
    named = any(environment.get(VARIABLES[part]) for part in _REQUIRED)
    if named:  # a service at another address does not use the providers and Grafana at compose's addresses
        defaults = dataclasses.replace(defaults, providers="", grafana="")
    addresses = Addresses(**{part: _address(part, environment, getattr(defaults, part)) for part in VARIABLES})
    if not named and not (
        readiness.answers(f"{addresses.service}/health") and _answers_prometheus(addresses.prometheus)
    ):
        return None
    try:
        build = check(addresses.service, addresses.prometheus, first_metrics=first_metrics)
    except StackError as error:
        if named:
            raise
        places = f"{shown_url(addresses.service)} and {shown_url(addresses.prometheus)}"
        report(f"Not using what runs at {places}: {error}")
        return None
    if missing := _missing(addresses):
        raise StackError(
            f"The stack at {shown_url(addresses.service)} is not complete: there is no {' and no '.join(missing)}; "
            "start them (docker compose up -d --wait) or end the stack (docker compose down)."
        )
    if addresses.grafana and not readiness.answers(f"{addresses.grafana}/api/health"):
        if environment.get("GRAFANA_URL"):
            where = f"{shown_url(addresses.grafana)} (GRAFANA_URL)"
            report(f"warning: no Grafana answers at {where}; the run goes on without its annotations")
        addresses = dataclasses.replace(addresses, grafana="")
    return ExternalStack(addresses, build, int(settings["INTERVAL"]))


def _address(part: str, environment: Mapping[str, str], default: str) -> str:
    """Return the address of a part; an empty variable means that the stack has no such part."""
    address = environment.get(VARIABLES[part], default).rstrip("/")
    return address or (default if part in _REQUIRED else "")


def check(service: str, prometheus: str, *, first_metrics: float = _FIRST_METRICS) -> str:
    """Check that service and Prometheus answer, and that this Prometheus has metrics of this service.

    Returns:
        The version of Prometheus.

    Raises:
        StackError: a check failed; the message names what is missing.
    """
    answer = http.get(f"{service}/v1/videos?limit=1", timeout=_TIMEOUT)
    try:
        if not answer.ok or msgspec.json.decode(answer.body, type=_Videos).object != "list":
            raise StackError(
                f"{shown_url(service)} does not list videos (status {answer.status}); set SERVICE_URL to the service."
            )
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(f"{shown_url(service)} is not a service of videos; set SERVICE_URL to the service.") from error
    build = _build(prometheus)

    def look() -> bool | None:
        return True if http.query(prometheus, f'count({{job="{SERVICE}"}})', timeout=_TIMEOUT) else None

    readiness.poll(
        look,
        f"metrics of the service in the Prometheus at {shown_url(prometheus)}; is it the one that collects from "
        f"{shown_url(service)}?",
        deadline=first_metrics,
        interval=0.5,
    )
    return build


def _build(prometheus: str) -> str:
    answer = http.get_prometheus(prometheus, "/api/v1/status/buildinfo", timeout=_TIMEOUT)
    try:
        return msgspec.json.decode(answer.body, type=_BuildInfo).data.version
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(
            f"{shown_url(prometheus)} is not a Prometheus; set PROMETHEUS_URL to the one that is."
        ) from error


def _answers_prometheus(url: str) -> bool:
    try:
        _build(url)
    except StackError:
        return False
    return True


def _missing(addresses: Addresses) -> list[str]:
    """Return the parts other than service and Prometheus that do not answer, with their addresses."""
    missing = []
    if addresses.tempo and not readiness.answers(f"{addresses.tempo}/ready"):
        missing.append(f"Tempo that is ready at {shown_url(addresses.tempo)} (TEMPO_URL)")
    try:
        receives = http.get(f"{addresses.collector}/v1/metrics", timeout=_TIMEOUT).status in _RECEIVER
    except StackError:
        receives = False
    if not receives:
        missing.append(f"Collector at {shown_url(addresses.collector)} (OTEL_EXPORTER_OTLP_ENDPOINT)")
    return missing
