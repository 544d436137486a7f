"""The embedded stack: service, mock providers and Prometheus as child processes."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from reelbench import HOME
from reelbench.handed_over import API_SOCKET, METRICS_SOCKET
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.run_files import SCHEMA_VERSION, TRACES_DIR
from reelbench.loadgen.record.stack import ComponentRecord, PrometheusRecord, StackRecord, write_stack
from reelbench.stack import prometheus, readiness
from reelbench.stack.endpoints import (
    LOADGEN,
    PROMETHEUS,
    PROVIDERS,
    SERVICE,
    Endpoints,
    Reserved,
    numbered,
    reserve,
)
from reelbench.stack.environment import component_environment, module_command, version
from reelbench.stack.errors import PortTakenError, StackError
from reelbench.stack.identity import check_data
from reelbench.stack.processes import Child, Processes
from reelbench.stack.prometheus import PrometheusBinary, ScrapedPage, exclusive
from reelbench.stack.readiness import DEADLINE, TelemetryEnd, await_telemetry
from reelbench.stack.server_metrics import NO_METRICS, ServerMetrics

DATA_DIR = "prometheus"
LOGS_DIR = "logs"
CONFIG_FILE = "prometheus.yml"
READY_DEADLINE = 120.0
"""Seconds until every component must be ready: 40 on two cores with a load of 30. One that ends is noticed at once."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Component:
    """A component that the stack starts."""

    name: str
    """Its service.name."""
    command: tuple[str, ...]
    """Program and arguments, to which ``--host`` and ``--port`` are added."""
    ready: str
    """Path that answers 200 when the component takes work."""


COMPONENTS = (
    Component(PROVIDERS, tuple(module_command("service.providers")), "/health"),
    Component(SERVICE, tuple(module_command("service")), "/ready"),
)
_PACKAGES = ("fakeredis", "fastapi", "fluxgate", "orjson", "pydantic_settings", "python_multipart", "uvicorn")
"""Import packages of the extra `embedded`."""


def check_installed() -> None:
    """Check that the packages of the embedded stack are installed.

    Raises:
        StackError: the extra `embedded` is not installed.
    """
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise StackError(
            f"The embedded stack needs packages that are not installed ({', '.join(missing)}); install them with "
            "pip install 'reelbench[embedded]', or measure a running service with --target URL."
        )


class EmbeddedStack:
    """A stack that runs inside its context; the run directory remains afterwards.

    Args:
        run_dir: The run directory; TSDB, traces, logs, assets and ``stack.json`` go there.
        prometheus: The Prometheus to run.
        target: Base URL of a service that runs elsewhere; then only Prometheus is started, for the load generator.
        components: Components to start when `target` is not given.
        server: The metrics of a server that is not ours.
        environment: The environment that the children inherit.
        loadgens: Load generators that this stack is to start.

    Raises:
        StackError: on entering, when a component does not start or the run directory has data of an earlier run.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        prometheus: PrometheusBinary,
        target: str | None = None,
        components: Sequence[Component] = COMPONENTS,
        server: ServerMetrics = NO_METRICS,
        environment: Mapping[str, str] = os.environ,
        loadgens: int = 1,
    ) -> None:
        self._run_dir = run_dir.resolve()
        self._binary = prometheus
        self._target = target
        self._components = () if target is not None else tuple(components)
        self._server = server
        self._scraped: tuple[ScrapedPage, ...] = ()
        self._inherited = environment
        self._loadgens = loadgens
        self._exit = ExitStack()
        self._processes = Processes()
        self._endpoints: Endpoints | None = None
        self._reserved = Reserved({})
        self._children: list[Child] = []
        self._started_loadgens: list[Child] = []

    def __enter__(self) -> Self:
        if (self._run_dir / DATA_DIR).exists():
            raise StackError(f"{self._run_dir} has metrics of an earlier run already; choose another run directory.")
        try:
            self._run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"Cannot make {self._run_dir} ({error.strerror}); choose another directory.") from error
        with ExitStack() as entered:
            lock = entered.enter_context(exclusive(self._run_dir))
            entered.enter_context(self._processes)
            self._scraped = entered.enter_context(self._server.scraped())
            self._endpoints = self._start_retrying(lock)
            self._write(None)
            self._exit = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()
        self._reserved.close()

    @property
    def target(self) -> str:
        """Base URL of the service under test, with its password if it has one."""
        return self._target if self._target is not None else self.endpoints.url(SERVICE)

    @property
    def providers(self) -> str | None:
        """Base URL of the mock providers; None when the service runs elsewhere."""
        return None if self._target is not None else self.endpoints.url(PROVIDERS)

    @property
    def grafana_url(self) -> str | None:
        """None: this stack has no Grafana."""
        return None

    @property
    def prometheus_url(self) -> str:
        """Base URL of Prometheus."""
        return self.endpoints.prometheus_url

    @property
    def endpoints(self) -> Endpoints:
        """All ports of the stack; valid inside the context only."""
        assert self._endpoints is not None, "the stack has not been entered"
        return self._endpoints

    def loadgen_environment(self, number: int = 1) -> dict[str, str]:
        """Return the whole environment of the process of load generator `number`, from 1."""
        return component_environment(LOADGEN, self.endpoints.of_loadgen(number), self._run_dir, self._inherited)

    def start_loadgen(
        self, arguments: Sequence[str], secrets: Mapping[str, str] | None = None, *, number: int = 1
    ) -> Child:
        """Start ``python -m reelbench.loadgen`` with these arguments; traces go to the run directory.

        Secrets are variables for the environment of this process alone. Where there are several, `number` tells them
        apart, from 1; only the first one writes to the terminal.

        It runs in its own session, so forward interrupts with `Child.signal`.
        """
        port = self.endpoints.of_loadgen(number).metrics_ports[LOADGEN]
        with self._reserved.handed({METRICS_SOCKET: port}) as (variables, descriptors):
            child = self._processes.start(
                numbered(LOADGEN, number),
                module_command("loadgen", *arguments),
                environment=self.loadgen_environment(number) | variables | dict(secrets or {}),
                directory=HOME,
                stdout=self._run_dir / TRACES_DIR / f"{numbered(LOADGEN, number)}.jsonl",
                log=self._run_dir / LOGS_DIR / f"{numbered(LOADGEN, number)}.log" if number > 1 else None,
                keep=descriptors,
                first=True,
            )
        self._started_loadgens.append(child)
        return child

    def await_telemetry(self, after: float, *, ahead: float = 0.0, deadline: float = DEADLINE) -> TelemetryEnd:
        """Wait until every component was scraped at or after `after` (Unix time in seconds), and record the result.

        A component that has ended is not awaited; it is reported as missing.
        """
        selectors = {
            numbered(name, number): f'up{{job="{name}",instance="{address}"}}'
            for name, addresses in self.endpoints.targets.items()
            for number, address in enumerate(addresses, 1)
        }
        selectors |= {one.job: f'up{{job="{one.job}"}}' for one in self._scraped}
        settled = await_telemetry(
            self.prometheus_url, selectors, after, ended=self._ended, deadline=deadline, ahead=ahead
        )
        self._write(settled)
        return settled

    def _ended(self) -> list[str]:
        over = [child.name for child in (*self._children, *self._started_loadgens) if child.end()]
        # Without Prometheus, no sample of any component comes any more.
        return [*self.endpoints.targets, *over, *(one.job for one in self._scraped)] if PROMETHEUS in over else over

    def deaths(self) -> dict[str, str]:
        """Return the components that have ended: name to a sentence."""
        return {
            child.name: f"{child.name} {how}, its log is {child.log}"
            for child in self._children
            if (how := child.end())
        }

    def needed(self, name: str) -> bool:
        """Return whether a run makes no sense without a component: a service that ended is a result."""
        return name == PROMETHEUS

    def troubles(self) -> list[str]:
        """Return one line for each ended component and each problem in Prometheus' log, such as a full disk."""
        found = list(self.deaths().values())
        if (complaint := prometheus.trouble(self._children[0].tail())) is not None:
            found.append(f"Prometheus: {complaint}")
        return found

    def _start_retrying(self, lock: int) -> Endpoints:
        """Start the components; choose other ports if another process takes that of Prometheus before it is bound."""
        for attempt in range(1, _ATTEMPTS + 1):
            endpoints, self._reserved = reserve([component.name for component in self._components], self._loadgens)
            try:
                self._start(endpoints, lock)
            except StackError as error:
                self._reserved.close()
                if attempt == _ATTEMPTS or not isinstance(error, PortTakenError):
                    raise
                self._processes.stop()
                shutil.rmtree(
                    self._run_dir / DATA_DIR, ignore_errors=True
                )  # logs of the failed attempt, before any run
            else:
                break
        return endpoints

    def _start(self, endpoints: Endpoints, lock: int) -> None:
        config = self._run_dir / CONFIG_FILE
        try:
            config.parent.mkdir(parents=True, exist_ok=True)
            text = prometheus.configuration(endpoints.targets, self._scraped, release=self._binary.release)
            config.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StackError(f"Cannot write {config} ({error.strerror}); choose another run directory.") from error
        self._reserved.release(endpoints.prometheus_port)  # Prometheus binds its port itself
        ready = {f"{endpoints.prometheus_url}/-/ready": self._start_prometheus(endpoints, config, lock)}
        for component in self._components:
            ready[endpoints.url(component.name) + component.ready] = self._start_component(component, endpoints)
        self._children = list(ready.values())

        def look() -> bool | None:
            for url, child in list(ready.items()):
                child.check()
                if readiness.answers(url):
                    child.check()
                    del ready[url]
            if not ready:
                check_data(endpoints.prometheus_url, self._run_dir / DATA_DIR)
            return None if ready else True

        names = ", ".join(child.name for child in self._children)
        readiness.poll(look, f"{names} to be ready", deadline=READY_DEADLINE, logs=self._run_dir / LOGS_DIR)

    def _start_prometheus(self, endpoints: Endpoints, config: Path, lock: int) -> Child:
        data = self._run_dir / DATA_DIR
        # Prometheus starts first, because its first scrape comes 5 s after its start.
        return self._processes.start(
            PROMETHEUS,
            prometheus.command(self._binary.path, config=config, data=data, port=endpoints.prometheus_port),
            environment=self._inherited,
            directory=self._run_dir,
            log=self._run_dir / LOGS_DIR / f"{PROMETHEUS}.log",
            keep=(lock, *(one.descriptor for one in self._scraped if one.descriptor is not None)),
        )

    def _start_component(self, component: Component, endpoints: Endpoints) -> Child:
        """Start a component, which inherits its sockets: no other process can answer at its ports."""
        port = endpoints.api_ports[component.name]
        ports = {API_SOCKET: port, METRICS_SOCKET: endpoints.metrics_ports[component.name]}
        ours = component_environment(component.name, endpoints, self._run_dir, self._inherited)
        with self._reserved.handed(ports) as (variables, descriptors):
            return self._processes.start(
                component.name,
                [*component.command, "--host", "127.0.0.1", "--port", str(port)],
                environment=ours | variables,
                directory=HOME,
                stdout=self._run_dir / TRACES_DIR / f"{component.name}.jsonl",
                log=self._run_dir / LOGS_DIR / f"{component.name}.log",
                keep=descriptors,
            )

    def _write(self, settled: TelemetryEnd | None) -> None:
        ours = version()
        started = [
            ComponentRecord(name=component.name, url=self.endpoints.url(component.name), version=ours)
            for component in self._components
        ]
        if self._target is not None:
            started = [ComponentRecord(name=SERVICE, url=shown_url(self._target), version=None)]
        record = StackRecord(
            schema_version=SCHEMA_VERSION,
            kind="embedded",
            components=(*started, ComponentRecord(name=LOADGEN, url=None, version=ours)),
            prometheus=PrometheusRecord(
                url=self.prometheus_url,
                version=self._binary.version,
                data_dir=DATA_DIR,
                scrape_interval=float(prometheus.SCRAPE_INTERVAL),
            ),
            server_metrics=self._server.records(),
            gpu_hour_price=self._server.gpu_hour_price,
            gpus=self._server.gpus,
            settled_at=settled.instant if settled else None,
            settled=bool(settled and settled.complete),
        )
        write_stack(self._run_dir, record)
