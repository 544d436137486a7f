"""The service and its providers with all of the telemetry of the embedded stack, with parts of it, or without."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop
from rich.console import Console

from reelbench import HOME
from reelbench.bench.generators import BenchError, one_case
from reelbench.exit_code import ExitCode
from reelbench.handed_over import API_SOCKET, METRICS_SOCKET
from reelbench.loadgen.document import Document
from reelbench.loadgen.drive.session import execute
from reelbench.loadgen.inputs import Inputs
from reelbench.loadgen.options import Settings
from reelbench.loadgen.plan.scenario import PROFILES, Scenario
from reelbench.stack import readiness
from reelbench.stack.embedded import COMPONENTS, READY_DEADLINE, EmbeddedStack
from reelbench.stack.endpoints import SERVICE, reserve
from reelbench.stack.environment import NO_TELEMETRY, component_environment
from reelbench.stack.processes import Processes
from reelbench.stack.prometheus import PrometheusBinary

IN_FLIGHT = 16


@dataclass(frozen=True, slots=True)
class Variant:
    """What of the telemetry is on."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Variables of service and providers, in place of those of the embedded stack."""
    scraped: bool = False
    """Whether the embedded stack runs, whose Prometheus scrapes every second."""


ON = Variant("on", scraped=True)
OFF = Variant("off", NO_TELEMETRY)


@dataclass(frozen=True, slots=True)
class Running:
    """A running variant."""

    url: str
    """Base URL of its service."""
    processes: tuple[psutil.Process, ...]
    """Service, providers, and Prometheus where it runs; not the media workers, which have no telemetry."""

    def cpu(self) -> float:
        """Return the CPU seconds that the processes have used."""
        return sum(times.user + times.system for one in self.processes for times in [one.cpu_times()])

    def pause(self) -> None:
        """Stop the processes, so that another variant has the machine for itself."""
        for one in self.processes:
            one.suspend()

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Let the processes run for as long as the context is entered."""
        for one in self.processes:
            one.resume()
        try:
            yield
        finally:
            self.pause()


@contextmanager
def running(variant: Variant, folder: Path, prometheus: PrometheusBinary) -> Iterator[Running]:
    """Run service and providers, with Prometheus if the variant is scraped.

    Raises:
        StackError: a process did not start.
    """
    before = set(psutil.Process().children())
    with _scraped(folder, prometheus) if variant.scraped else _alone(variant, folder) as url:
        found = Running(url, tuple(set(psutil.Process().children()) - before))
        try:
            yield found
        finally:
            for one in found.processes:  # a stopped process would not end
                if one.is_running():
                    one.resume()


def scenario(jobs: int) -> Scenario:
    """Return the load: a closed loop as in throughput, with as many jobs in flight as the service has workers."""
    count = dict.fromkeys(PROFILES, jobs)
    warmup = dict.fromkeys(PROFILES, IN_FLIGHT)
    case = {"model": "closed", "concurrency": IN_FLIGHT, "iterations": count, "warmup": warmup}
    return Scenario.model_validate(one_case("overhead", case, ["create", "wait", "content"], encoding="multipart"))


def drive(url: str, folder: Path, load: Scenario, seed: int, document: Document) -> None:
    """Send the load from this process; its records go to `folder`.

    Raises:
        BenchError: the load went wrong.
        KeyboardInterrupt: the user interrupted it.
    """
    said = io.StringIO()
    settings = Settings(
        run_dir=folder,
        run_id="overhead",
        scenarios=[load],
        profile="quick",
        seed=seed,
        target=url,
        inputs=Inputs(document),
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(execute(settings, Console(file=said)))
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code != ExitCode.PASS:
        raise BenchError(f"the load ended with exit code {code}: {said.getvalue().strip()[-300:]}")


@contextmanager
def _scraped(folder: Path, prometheus: PrometheusBinary) -> Iterator[str]:
    with EmbeddedStack(folder, prometheus=prometheus) as embedded:
        yield embedded.target


@contextmanager
def _alone(variant: Variant, folder: Path) -> Iterator[str]:
    endpoints, reserved = reserve([component.name for component in COMPONENTS])
    with closing(reserved), Processes() as processes:
        ready = []
        for component in COMPONENTS:
            port = endpoints.api_ports[component.name]
            own = component_environment(component.name, endpoints, folder, os.environ) | dict(variant.variables)
            ports = {API_SOCKET: port, METRICS_SOCKET: endpoints.metrics_ports[component.name]}
            with reserved.handed(ports) as (variables, descriptors):
                processes.start(
                    component.name,
                    [*component.command, "--host", "127.0.0.1", "--port", str(port)],
                    environment=own | variables,
                    directory=HOME,
                    stdout=folder / f"{component.name}.jsonl",
                    log=folder / f"{component.name}.log",
                    keep=descriptors,
                )
            ready.append(endpoints.url(component.name) + component.ready)

        def look() -> bool | None:
            processes.check()
            return all(readiness.answers(url) for url in ready) or None

        readiness.poll(look, "the service to be ready", deadline=READY_DEADLINE)
        yield endpoints.url(SERVICE)
