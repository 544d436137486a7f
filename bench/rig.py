"""Sends one load with one generator to a fresh server, each pinned to one core; both sides count the requests."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
import requests

from reelbench import HOME
from reelbench.bench.generators import JOB, BenchError, Figures, Generator, Load
from reelbench.bench.server import Counts
from reelbench.stack.environment import module_command

DEADLINE: Final = 600.0
"""Seconds after which a generator that still runs is an error."""
ATTEND: Final = 0.2
PROCESS: Final = "process"
"""File with the number of the generator's process."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Two cores of this machine."""

    server: int
    client: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A load that was sent; the counts of server and generator agree."""

    requests: int
    created: int
    """Jobs, or arrivals, whose first request reached the server."""
    cpu: float
    """CPU seconds of the generator's process from its first request to its end, all threads and children."""
    wall: float
    """Seconds from the first to the last request, as the server saw them."""
    figures: Figures
    frozen: float | None
    """Seconds from the first request to the freeze; None without a freeze."""


def cores() -> Cores:
    """Return the cores to use.

    Raises:
        BenchError: there are fewer than two, or this system cannot pin a process.
    """
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < 2:  # noqa: PLR2004 - one each
        raise BenchError("this needs Linux with two cores, one for the server and one for the generator")
    return Cores(server=allowed[0], client=allowed[1])


def send(generator: Generator, load: Load, on: Cores, *, freeze: tuple[float, float] = (0.0, 0.0)) -> Sent:
    """Send a load with a generator.

    Args:
        generator: the load generator.
        load: the load to send.
        on: the cores of server and generator.
        freeze: seconds from the first request to the freeze, and its length; a length of 0 for none.

    Raises:
        BenchError: the generator failed, or its count differs from the server's.
    """
    with TemporaryDirectory(prefix="reelbench-") as name, _server(on.server, freeze, Path(name)) as url:
        folder = Path(name)
        cpu = _drive(generator, load, url, folder, on.client)
        counts = msgspec.json.decode(requests.get(f"{url}/counts", timeout=10).content, type=Counts)
        figures = generator.figures(folder)
    check(generator.name, load, counts, figures)
    assert counts.first is not None
    assert counts.last is not None
    assert counts.start_cpu is not None
    cpu -= counts.start_cpu
    return Sent(counts.requests, counts.operations["create"], cpu, counts.last - counts.first, figures, counts.frozen)


def check(name: str, load: Load, counts: Counts, figures: Figures) -> None:
    """Compare the server's counts with the plan and with the generator's figures.

    Raises:
        BenchError: they differ.
    """
    if figures.requests != counts.requests:
        raise BenchError(f"{name} counted {figures.requests} requests, the server {counts.requests}")
    jobs = {"rate": load.jobs, "arrivals": load.rate * load.seconds}.get(load.mode)
    if jobs is not None and any(counts.operations.get(operation) != jobs for operation in JOB):
        raise BenchError(f"{name} was to send {jobs} jobs, but the server saw {counts.operations}")
    if counts.traced != counts.requests or not counts.requests:
        raise BenchError(f"{name} sent {counts.requests} requests, {counts.traced} of them with a traceparent")


def _drive(generator: Generator, load: Load, url: str, folder: Path, core: int) -> float:
    command = generator.command(load, url, folder)
    before = _children()
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        with _pinned(core):
            process = subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=os.environ | command.environment,
                cwd=HOME,
            )
        try:
            (folder / PROCESS).write_text(str(process.pid), encoding="ascii")
            end = time.monotonic() + DEADLINE
            while process.poll() is None:
                if time.monotonic() > end:
                    raise BenchError(f"{generator.name} did not end within {DEADLINE:g} s")
                generator.attend(process, folder)
                time.sleep(ATTEND)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        said = (folder / "errors").read_text(encoding="utf-8", errors="replace").strip()[-300:]
        raise BenchError(f"{generator.name} ended with exit code {process.returncode}: {said}")
    return _children() - before


@contextmanager
def _server(core: int, freeze: tuple[float, float], folder: Path) -> Iterator[str]:
    """Run a server for the generator whose files are in a folder; yield its base URL."""
    command = module_command("bench.server", *map(str, freeze), str(folder / PROCESS))
    with _pinned(core):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=HOME)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        if not url:
            raise BenchError("the server of the benchmark did not start")
        yield url
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Pin children that are started in this context to one core, from their first instruction."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _children() -> float:
    """Return the CPU seconds of all children that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
