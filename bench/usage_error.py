"""How far figures of CPU and memory are from the truth: with a real process of known cost, and in simulated runs.

The real process listens on a loopback port; each connection is a job, which uses a stated CPU time and keeps a stated
number of bytes. The simulated runs give the error rates of the intervals.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from reelbench.loadgen.machine.process_parts import ProcessParts
from reelbench.loadgen.machine.process_reader import ProcessReader, ProcessReading
from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.processes import Part, PartUsage, UsageSample
from reelbench.loadgen.record.run import CaseRecord, EnvironmentRecord, RunRecord, RunState, ScenarioRecord
from reelbench.reporting.analysis.cpu_usage import job_cpu
from reelbench.reporting.analysis.leak import leak
from reelbench.reporting.catalogue.prices import load_prices
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import Measurements
from reelbench.reporting.evidence.usage_samples import UsageSamples
from reelbench.reporting.statistics.intervals import Interval

SCENARIO: Final = "made"
REST: Final = 1.1
"""Seconds without jobs before and after them, as in the scenarios."""
STEP: Final = 0.05
_SERVER: Final = """
import socket, sys, time
burn, kept, held = float(sys.argv[1]), int(sys.argv[2]), []
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        with server.accept()[0] as one:
            end = time.process_time() + burn
            held.append(b"\\x01" * kept)
            while time.process_time() < end:
                pass
            one.sendall(b"x")
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report says of a process."""

    cpu: float
    """Seconds per job."""
    cpu_interval: Interval
    leak: float
    """Bytes per job."""
    leak_interval: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """A process whose cost is known."""

    jobs: int
    seconds: float = 0.5
    """Of one job; the next one follows at once."""
    cpu: float = 0.05
    """Mean CPU seconds of a job."""
    spread: float = 0.3
    """Sigma of their lognormal distribution."""
    idle: float = 0.02
    """Cores without jobs."""
    scrape: float = 0.008
    """CPU seconds of the answer to a scrape, once per second."""
    leak: float = 0.0
    """Bytes of a job that are kept."""
    noise: float = 0.3e6
    """Standard deviation of the innovations of memory from job to job."""
    memory_correlation: float = 0.8
    """Of memory with that of the job before: AR(1)."""


def evidence_of(samples: Sequence[UsageSample], spans: Sequence[tuple[float, float]], rest: float = REST) -> Evidence:
    """Return the evidence of a run with readings and one case of jobs, from due to done."""
    started, ended = spans[0][0], spans[-1][1]
    case = CaseRecord(
        name="n01", model="closed", concurrency=1, planned=len(spans), warmup=0, started=started, ended=ended,
        generator_cpu=None, loop_lag_p99=None, switches={"cache": False},
    )  # fmt: skip
    scenario = ScenarioRecord(
        name=SCENARIO, dimension="resources", title="", why="", steps=[], state=RunState.COMPLETED, started=started,
        ended=ended, cases=[case], objectives={}, store=None, rest=rest,
    )  # fmt: skip
    run = RunRecord(
        schema_version=1, run_id="made", profile="quick", seed=1, plan_hash="", target="", state=RunState.COMPLETED,
        started=started, ended=ended, document=None, scenarios=[scenario], faults=[],
        environment=EnvironmentRecord(
            cpu_model="", cpu_count=2, memory_bytes=0, os="", python="", packages={}, commit=None, dirty=False,
            lock_sha256=None,
        ),
    )  # fmt: skip
    made = Measurements(run_id="made", instant=0.0, window="0s", prometheus=False, measurements=())
    return Evidence(
        run=run, jobs=tuple(_job(number, *span) for number, span in enumerate(spans)), catalogue=load(),
        measurements=made, prices=load_prices(), usage=UsageSamples.of(samples),
    )  # fmt: skip


def figures(evidence: Evidence) -> Figures:
    """Return the figures of the one case.

    Raises:
        ValueError: the readings do not show it.
    """
    case = evidence.run.scenarios[0].cases[0]
    cpu, grown = job_cpu(evidence, SCENARIO, case), leak(evidence, SCENARIO)
    if cpu is None or grown is None:
        raise ValueError("the readings do not show the case")
    return Figures(cpu.value, cpu.interval, grown.trend.slope, grown.trend.interval)


async def measured(jobs: int, burn: float, kept: int) -> Figures:
    """Return the figures of a real process that uses and keeps a known amount per job."""
    lines: list[bytes] = []
    with _server(burn, kept) as port:
        reader = ProcessReader(ProcessParts(port), time.time)
        assert reader.sees_target
        _connect(port)  # the first one loads code
        async with ProcessReading(reader, lines.append):
            await asyncio.sleep(REST)
            spans = []
            for _ in range(jobs):
                due = time.time()
                await asyncio.to_thread(_connect, port)
                await asyncio.sleep(burn)
                spans.append((due, time.time()))
            await asyncio.sleep(REST)
    decoder = msgspec.json.Decoder(UsageSample)
    return figures(evidence_of(decoder.decode_lines(b"".join(lines)), spans))


def simulated(plan: Simulated, seed: int) -> Figures:
    """Return the figures of one simulated run."""
    drawn = random.Random(seed)
    used = [drawn.lognormvariate(0.0, plan.spread) for _ in range(plan.jobs)]
    scale = plan.cpu / math.exp(plan.spread**2 / 2)
    deviation, level = [], 0.0
    for _ in range(plan.jobs + 1):
        level = plan.memory_correlation * level + drawn.gauss(0.0, plan.noise)
        deviation.append(level)
    phase, origin = drawn.random(), 1_790_000_000.0
    length = plan.jobs * plan.seconds

    def sample(at: float) -> UsageSample:
        done = min(max((at - REST) / plan.seconds, 0.0), plan.jobs)
        whole = int(done)
        cpu = plan.idle * at + plan.scrape * int(at + phase)
        cpu += scale * (sum(used[:whole]) + (used[whole] * (done - whole) if whole < plan.jobs else 0.0))
        memory = 100e6 + plan.leak * whole + deviation[whole]
        return UsageSample(at=origin + at, parts={Part.SERVICE: PartUsage(cpu=cpu, memory=int(memory), processes=1)})

    steps = int((length + 2 * REST) / STEP) + 2
    samples = [sample(STEP * number) for number in range(steps)]
    starts = [origin + REST + plan.seconds * number for number in range(plan.jobs)]
    return figures(evidence_of(samples, [(at, at + plan.seconds) for at in starts]))


@dataclass(frozen=True, slots=True)
class Errors:
    """Error rates over simulated runs."""

    cpu_covered: float
    """Share of the intervals of CPU per job that hold its mean."""
    cpu_bias: float
    """Mean relative error."""
    cpu_width: float
    """Mean half width of the interval, relative."""
    leak_covered: float
    leak_bias: float
    """Mean error in bytes per job."""


def errors(plan: Simulated, runs: int) -> Errors:
    """Return the error rates of the intervals over a number of runs."""
    found = [simulated(plan, seed) for seed in range(runs)]

    def covered(truth: float, limits: Callable[[Figures], Interval]) -> float:
        inside = 0
        for one in found:
            low, high = limits(one).lower, limits(one).upper
            inside += low is not None and high is not None and low <= truth <= high
        return inside / runs

    widths = [
        one.cpu_interval.upper - one.cpu_interval.lower
        for one in found
        if one.cpu_interval.upper is not None and one.cpu_interval.lower is not None
    ]
    return Errors(
        cpu_covered=covered(plan.cpu, lambda one: one.cpu_interval),
        cpu_bias=sum(one.cpu for one in found) / runs / plan.cpu - 1,
        cpu_width=sum(widths) / len(widths) / 2 / plan.cpu,
        leak_covered=covered(plan.leak, lambda one: one.leak_interval),
        leak_bias=sum(one.leak for one in found) / runs - plan.leak,
    )


def _job(number: int, due: float, done: float) -> JobRecord:
    return JobRecord(
        scenario=SCENARIO, case="n01", index=number, warmup=False, due=due, sent=due, accepted=due, done=done,
        outcome=Outcome.COMPLETED, job_id=str(number), trace_id=f"{number:032x}", bytes=0, deleted=False,
        integrity=None, error=None,
    )  # fmt: skip


@contextmanager
def _server(burn: float, kept: int) -> Iterator[int]:
    command = [sys.executable, "-c", _SERVER, str(burn), str(kept)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _connect(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.recv(1)
