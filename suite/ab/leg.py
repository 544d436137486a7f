"""One run of the plan against one side: its processes are started for this run and ended after it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelbench import HOME
from reelbench.exit_code import ExitCode
from reelbench.loadgen.machine.parts import own_processes
from reelbench.loadgen.record.run_files import TRACES_DIR
from reelbench.loadgen.target.access import API_KEY_ENV
from reelbench.stack import readiness
from reelbench.stack.embedded import COMPONENTS, LOGS_DIR, READY_DEADLINE
from reelbench.stack.endpoints import LOADGEN, PROVIDERS, SERVICE, allocate
from reelbench.stack.environment import component_environment, hand_over, module_command
from reelbench.stack.errors import PortTakenError, StackError
from reelbench.stack.forwarding import Forwarding
from reelbench.stack.processes import Child, Processes
from reelbench.suite.ab.checkouts import Program
from reelbench.suite.ab.sides import Side

ASSETS = "assets"
START_DEADLINE = 3 * READY_DEADLINE
"""Seconds; a late start does no harm here, and one that fails would cost all runs before it."""
_ATTEMPTS = 3
_NO_METRICS = {"OTEL_METRICS_EXPORTER": "none"}
"""No Prometheus scrapes these runs: their numbers come from records and spans."""


@dataclass(frozen=True, slots=True)
class Running:
    """A side that runs."""

    target: str
    """Base URL of the service, with its password if it has one."""
    providers: str | None


@dataclass(frozen=True, slots=True)
class LegRunner:
    """Runs the plan against a side."""

    arguments: tuple[str, ...]
    """Command line of the load generator, without the run and the target."""
    forwarding: Forwarding
    environment: Mapping[str, str]

    def run(self, side: Side, program: Program | None, folder: Path) -> None:
        """Run the plan once; the folder then has records and traces.

        Args:
            side: The side.
            program: Where service and providers come from; None for a target.
            folder: Folder of this run.

        Raises:
            StackError: a process did not start, or the load did not complete.
            KeyboardInterrupt: the user interrupted it.
        """
        folder.mkdir(parents=True)
        with Processes() as processes:
            if program is None:
                self._drive(processes, Running(side.target, None), folder)
            else:
                with _service(processes, program, {**self.environment, **side.settings}, folder) as running:
                    self._drive(processes, running, folder)
        shutil.rmtree(folder / ASSETS, ignore_errors=True)

    def _drive(self, processes: Processes, running: Running, folder: Path) -> None:
        addresses, secrets = hand_over({"--target": running.target, "--providers": running.providers})
        if running.providers is not None:
            secrets[API_KEY_ENV] = ""  # the key of another server is not for the service of this project
        secrets |= own_processes(os.getpid(), [])
        words = ["run", "--run-dir", str(folder.resolve()), "--run-id", folder.name, *self.arguments, *addresses]
        environment = component_environment(LOADGEN, allocate([]), folder.resolve(), self.environment)
        child = processes.start(
            LOADGEN,
            module_command("loadgen", *words),
            environment=environment | _NO_METRICS | secrets,
            directory=HOME,
            stdout=folder / TRACES_DIR / f"{LOADGEN}.jsonl",
            log=folder / LOGS_DIR / f"{LOADGEN}.log",
        )
        with self.forwarding.to(child):
            status = child.process.wait()
        _check(child, status)


def _check(child: Child, status: int) -> None:
    """Check how the load generator ended.

    Raises:
        StackError: the load did not complete.
        KeyboardInterrupt: the user interrupted it.
    """
    if status in {ExitCode.INTERRUPTED, -signal.SIGINT, -signal.SIGTERM}:
        raise KeyboardInterrupt
    if status:
        errors = [line for line in child.tail().splitlines() if "error:" in line] or [child.tail()]
        raise StackError(f"The load generator ended with exit code {status}: {errors[-1].removeprefix('error: ')}")


@contextmanager
def _service(processes: Processes, program: Program, environment: Mapping[str, str], folder: Path) -> Iterator[Running]:
    """Start providers and service; choose other ports if another process takes a port before it is bound."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            running, children = _start(processes, program, environment, folder)
        except PortTakenError:
            if attempt == _ATTEMPTS:
                raise
            processes.stop()
        else:
            break
    yield running
    for child in children:
        child.check()  # a service that ended on the way was not measured


def _start(
    processes: Processes, program: Program, environment: Mapping[str, str], folder: Path
) -> tuple[Running, Sequence[Child]]:
    endpoints = allocate([component.name for component in COMPONENTS])
    ready: dict[str, tuple[Child, int]] = {}
    for component in COMPONENTS:
        ours = component_environment(component.name, endpoints, folder.resolve(), environment)
        port = endpoints.api_ports[component.name]
        command = [program.python, *component.command[1:], "--host", "127.0.0.1", "--port", str(port)]
        child = processes.start(
            component.name,
            command,
            environment=ours | _NO_METRICS,
            directory=program.directory,
            stdout=folder / TRACES_DIR / f"{component.name}.jsonl",
            log=folder / LOGS_DIR / f"{component.name}.log",
        )
        ready[endpoints.url(component.name) + component.ready] = child, port
    children = tuple(child for child, _ in ready.values())

    def look() -> bool | None:
        for url, (child, port) in list(ready.items()):
            child.check()
            if readiness.answers(url):
                child.check_port(port)  # another commit may not know how sockets are handed over
                del ready[url]
        return None if ready else True

    names = ", ".join(child.name for child in children)
    readiness.poll(look, f"{names} to be ready", deadline=START_DEADLINE, logs=folder / LOGS_DIR)
    return Running(endpoints.url(SERVICE), endpoints.url(PROVIDERS)), children
