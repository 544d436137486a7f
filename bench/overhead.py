"""The cost of telemetry: the same load on the same service with telemetry on and off, alternating.

Each pair measures both variants in seeded order, with fresh processes on loopback and the same plan. "On" is the
embedded stack: metrics scraped every second, traces to a file. "Off": the same service and providers without exporters.
The load generator runs in this process in both cases.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import uvloop
from rich.console import Console

from reelbench import HOME
from reelbench.bench.generators import BenchError, one_case
from reelbench.bench.ratio import ratio
from reelbench.exit_code import ExitCode
from reelbench.loadgen.document import Document
from reelbench.loadgen.drive.session import execute
from reelbench.loadgen.inputs import Inputs
from reelbench.loadgen.options import Settings
from reelbench.loadgen.plan.scenario import PROFILES, Scenario
from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.reporting.statistics.intervals import summarize
from reelbench.stack import readiness
from reelbench.stack.embedded import COMPONENTS, READY_DEADLINE, EmbeddedStack
from reelbench.stack.endpoints import SERVICE, allocate
from reelbench.stack.environment import NO_TELEMETRY, component_environment
from reelbench.stack.processes import Processes
from reelbench.stack.prometheus import PrometheusBinary

Arm = Literal["on", "off"]
IN_FLIGHT = 16


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one service."""

    rate: float
    """Completed jobs per second."""
    p95: float
    """P95 of the response time, in seconds."""


def order(pairs: int, seed: int) -> list[tuple[Arm, Arm]]:
    """Return the order within each pair."""
    draw = random.Random(seed)
    return [draw.choice((("on", "off"), ("off", "on"))) for _ in range(pairs)]


def measured(jobs: Sequence[JobRecord]) -> Measured:
    """Return rate and P95 of the measured jobs.

    Raises:
        BenchError: not every job was completed.
    """
    counted = [job for job in jobs if not job.warmup]
    summary = summarize([job.done - job.due for job in counted])
    failed = sum(job.outcome is not Outcome.COMPLETED for job in counted)
    if summary is None or failed:
        raise BenchError(f"{failed} of {len(counted)} jobs were not completed; run it again on a quiet machine")
    window = max(job.done for job in counted) - min(job.due for job in counted)
    return Measured(len(counted) / window, summary.p95.value)


def scenario(jobs: int) -> Scenario:
    """Return the load: a closed loop as in throughput, with as many jobs in flight as the service has workers."""
    count = dict.fromkeys(PROFILES, jobs)
    warmup = dict.fromkeys(PROFILES, IN_FLIGHT)
    case = {"model": "closed", "concurrency": IN_FLIGHT, "iterations": count, "warmup": warmup}
    return Scenario.model_validate(one_case("overhead", case, ["create", "wait", "content"], encoding="multipart"))


def run(
    pairs: int, jobs: int, seed: int, *, document: Document, prometheus: PrometheusBinary, say: Callable[[str], None]
) -> list[tuple[Measured, Measured]]:
    """Measure the pairs; return (on, off) for each pair.

    Args:
        pairs: number of pairs.
        jobs: measured jobs per load.
        seed: seed of the order and of the plans.
        document: what jobs upload.
        prometheus: scrapes the service while telemetry is on.
        say: receives one line for each pair.

    Raises:
        BenchError: a load went wrong.
        StackError: a service did not start.
        KeyboardInterrupt: the user interrupted it.
    """
    found = []
    for number, arms in enumerate(order(pairs, seed), start=1):
        pair: dict[Arm, Measured] = {}
        for arm in arms:
            with TemporaryDirectory(prefix="reelbench-") as folder:
                with _service(arm, Path(folder), prometheus) as url:
                    _drive(url, Path(folder), scenario(jobs), seed + number, document)
                pair[arm] = measured(read_jobs(Path(folder) / "load"))
        found.append((pair["on"], pair["off"]))
        say(f"pair {number} of {pairs}: {', '.join(f'{arm} {_shown(pair[arm])}' for arm in arms)}")
    return found


def lines(pairs: Sequence[tuple[Measured, Measured]]) -> list[str]:
    """Return the result as lines of text."""
    rates = ratio([on.rate for on, _ in pairs], [off.rate for _, off in pairs])
    tails = ratio([on.p95 for on, _ in pairs], [off.p95 for _, off in pairs])
    return [
        f"telemetry on / off, {len(pairs)} pairs, {IN_FLIGHT} jobs in flight",
        f"jobs/s        {rates}",
        f"P95 response  {tails}",
    ]


@contextmanager
def _service(arm: Arm, folder: Path, prometheus: PrometheusBinary) -> Iterator[str]:
    """Run service and providers; yield the service's base URL."""
    if arm == "on":
        with EmbeddedStack(folder, prometheus=prometheus) as embedded:
            yield embedded.target
        return
    endpoints = allocate([component.name for component in COMPONENTS])
    with Processes() as processes:
        ready = []
        for component in COMPONENTS:
            url = endpoints.url(component.name)
            processes.start(
                component.name,
                [*component.command, "--host", "127.0.0.1", "--port", str(endpoints.api_ports[component.name])],
                environment=component_environment(component.name, endpoints, folder, os.environ) | NO_TELEMETRY,
                directory=HOME,
                log=folder / f"{component.name}.log",
            )
            ready.append(url + component.ready)

        def look() -> bool | None:
            processes.check()
            return all(readiness.answers(url) for url in ready) or None

        readiness.poll(look, "the service without telemetry to be ready", deadline=READY_DEADLINE)
        yield endpoints.url(SERVICE)


def _drive(url: str, folder: Path, load: Scenario, seed: int, document: Document) -> None:
    said = io.StringIO()
    settings = Settings(
        run_dir=folder / "load",
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


def _shown(found: Measured) -> str:
    return f"{found.rate:.2f} jobs/s, P95 {found.p95:.3f} s"
