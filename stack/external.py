"""Finds a stack that already runs, such as that of docker compose, and checks each part of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from reelbench import HOME
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.run_files import SCHEMA_VERSION, TRACES_DIR
from reelbench.loadgen.record.stack import ComponentRecord, PrometheusRecord, StackRecord, write_stack
from reelbench.stack import dotenv, http, readiness
from reelbench.stack.compose_token import token_variables
from reelbench.stack.endpoints import LOADGEN, PROVIDERS, SERVICE, numbered
from reelbench.stack.environment import module_command, pushing_environment, version
from reelbench.stack.errors import StackError
from reelbench.stack.parts import Look, look, prometheus_version
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
SETTINGS = {
    "service": "SERVICE_PORT",
    "prometheus": "PROMETHEUS_PORT",
    "tempo": "TEMPO_PORT",
    "collector": "OTLP_PORT",
    "providers": "PROVIDERS_PORT",
    "grafana": "GRAFANA_PORT",
}
"""Part of a stack -> setting of ``.env`` with its port."""
_TITLES = {
    "service": "the service",
    "prometheus": "Prometheus",
    "tempo": "Tempo",
    "collector": "the Collector",
    "providers": "the mock providers",
    "grafana": "Grafana",
}
_REQUIRED = ("service", "prometheus")
_OPTIONAL = ("grafana",)
"""Parts that a run does not need."""
SETTLE_DEADLINE = 30.0
"""Seconds to wait for the last component: one interval, and the Collector's retries after an outage of Prometheus."""
_EXPORTED = "process_thread_count"
"""A gauge that is in every export of every component."""
_TIMEOUT = 2.0
_FIRST_METRICS = 20.0
"""Seconds until Prometheus must have the first metrics of a newly started service."""


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
    return Addresses(**{part: f"http://127.0.0.1:{settings[name]}" for part, name in SETTINGS.items()})


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
        self._started_loadgens: list[Child] = []

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

    def start_loadgen(
        self, arguments: Sequence[str], secrets: Mapping[str, str] | None = None, *, number: int = 1
    ) -> Child:
        """Start ``python -m reelbench.loadgen`` with these arguments; telemetry goes to the Collector.

        Secrets are variables for the environment of this process alone. Where there are several, `number` tells them
        apart, from 1; only the first one writes to the terminal.
        """
        keeps_traces = bool(self._stack.addresses.tempo)
        child = self._processes.start(
            numbered(LOADGEN, number),
            module_command("loadgen", *arguments),
            environment=pushing_environment(
                LOADGEN,
                self._stack.addresses.collector,
                self._stack.interval,
                self._inherited,
                also_to_file=not keeps_traces,
            )
            | token_variables(self._stack.addresses.service, self._inherited)
            | dict(secrets or {}),
            directory=HOME,
            stdout=None if keeps_traces else self._run_dir / TRACES_DIR / f"{numbered(LOADGEN, number)}.jsonl",
            log=self._run_dir / "logs" / f"{numbered(LOADGEN, number)}.log" if number > 1 else None,
            first=True,
        )
        self._started_loadgens.append(child)
        return child

    def await_telemetry(
        self,
        after: float,
        *,
        ahead: float = 0.0,
        deadline: float = SETTLE_DEADLINE,
        loadgens: int = 1,
        loadgens_after: float | None = None,
        service_replicas: int = 1,
    ) -> TelemetryEnd:
        """Wait until every component has exported at or after the end of the load, and record the result.

        Args:
            after: Unix time in seconds at which the last load generator ended.
            ahead: Seconds by which the clock of Prometheus is ahead of that of `after`.
            deadline: Seconds to wait at most.
            loadgens: Load generators, each of which must have exported.
            loadgens_after: When the first of them ended; each exports for the last time at its own end. None: `after`.
            service_replicas: Replicas of the service, each of which must have exported: each counts its own jobs.
        """
        # target_info is unsuitable: the Collector's span metrics also have one, with other sample times.
        selectors = {name: f'{_EXPORTED}{{job="{name}"}}' for name in (SERVICE, PROVIDERS, LOADGEN)}
        settled = await_telemetry(
            self.prometheus_url,
            selectors,
            after,
            value=None,
            ended=lambda: [LOADGEN] if (own := self._started_loadgens) and all(child.end() for child in own) else [],
            deadline=deadline,
            ahead=ahead,
            least={LOADGEN: loadgens, SERVICE: service_replicas},
            earlier={LOADGEN: loadgens_after} if loadgens_after is not None else {},
        )
        self._write(settled)
        return settled

    def deaths(self) -> dict[str, str]:
        """Return nothing: Reelbench did not start these processes."""
        return {}

    def needed(self, name: str) -> bool:
        """Return False: no death is seen."""
        del name
        return False

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
    """Return the full stack at the addresses in the environment (`VARIABLES`), or else at docker compose's addresses.

    One part that answers like a part of ours is enough: then the full stack is what the user wants to measure, and
    parts that are missing are an error.

    Args:
        report: Receives one line when a part that a run does not need is missing.
        environment: Holds the variables; each defaults to docker compose's address.
        defaults: Addresses when the environment names none; default: what docker compose publishes.
        first_metrics: Seconds to wait until Prometheus has metrics of the service.

    Returns:
        None when no address of service or Prometheus is named and no part of a stack of Reelbench answers.

    Raises:
        StackError: an address is named, or a part is there, and the stack cannot be used.
    """
    settings = dotenv.read(environment=environment)
    defaults = defaults or published(settings)
    named = any(environment.get(VARIABLES[part]) for part in _REQUIRED)
    if named:  # a service at another address does not use the providers and Grafana at compose's addresses
        defaults = dataclasses.replace(defaults, providers="", grafana="")
    addresses = Addresses(**{part: _address(part, environment, getattr(defaults, part)) for part in VARIABLES})
    places = {part: url for part in VARIABLES if (url := getattr(addresses, part))}
    found = {part: look(part, url) for part, url in places.items()}
    if not named and not any(one.ours for one in found.values()):
        return None
    if not environment.get(VARIABLES["service"]) and found["service"].problem is None and not found["service"].ours:
        found["service"] = Look(ours=False, problem="is another program that lists videos")
    unfit = {part: one.problem for part, one in found.items() if one.problem is not None and part not in _OPTIONAL}
    if unfit:
        raise StackError(_incomplete(places, found, unfit, environment))
    _await_first_metrics(addresses, first_metrics)
    if addresses.grafana and found["grafana"].problem is not None:
        where = _place("grafana", addresses.grafana, environment)
        report(f"warning: {where} {found['grafana'].problem}; the run goes on without its annotations")
        addresses = dataclasses.replace(addresses, grafana="")
    return ExternalStack(addresses, prometheus_version(addresses.prometheus), int(settings["INTERVAL"]))


def _address(part: str, environment: Mapping[str, str], default: str) -> str:
    """Return the address of a part; an empty variable means that the stack has no such part."""
    address = environment.get(VARIABLES[part], default).rstrip("/")
    return address or (default if part in _REQUIRED else "")


def _place(part: str, url: str, environment: Mapping[str, str]) -> str:
    """Return a part with its address, and what sets the address."""
    setting = VARIABLES[part] if environment.get(VARIABLES[part]) else f"{SETTINGS[part]} in .env"
    return f"{_TITLES[part]} at {shown_url(url)} ({setting})"


def _incomplete(
    places: Mapping[str, str], found: Mapping[str, Look], unfit: Mapping[str, str], environment: Mapping[str, str]
) -> str:
    """Return the sentence about a stack that cannot be used: what is there, what is not and why, and the cures."""
    there = [_TITLES[part] for part, one in found.items() if one.problem is None]
    problems = "; ".join(f"{_place(part, places[part], environment)} {problem}" for part, problem in unfit.items())
    begin = f"A full stack is there ({', '.join(there)})" if there else "The full stack"
    joint = ", but cannot be used" if there else " cannot be used"
    return (
        f"{begin}{joint}: {problems}. Start what is missing (docker compose up -d --wait; why a part ended: docker "
        "compose logs), correct its address, end the stack (docker compose down), or measure the embedded stack with "
        "--embedded."
    )


def _await_first_metrics(addresses: Addresses, deadline: float) -> None:
    """Wait until this Prometheus has metrics of this service.

    Raises:
        StackError: it has none within the deadline.
    """

    def seen() -> bool | None:
        found = http.query(addresses.prometheus, f'count({{job="{SERVICE}"}})', timeout=_TIMEOUT)
        return True if found else None

    readiness.poll(
        seen,
        f"metrics of the service in the Prometheus at {shown_url(addresses.prometheus)}; is it the one that collects "
        f"from {shown_url(addresses.service)}? --embedded measures the embedded stack",
        deadline=deadline,
        interval=0.5,
    )
