"""Export of made runs: seconds and peak memory by the number of jobs.

A made run has the records that a driven run has: jobs with their requests, in closed cases at five levels of load and
one open case. No Prometheus is asked, so the time is that of reading, judging and rendering.
"""

from __future__ import annotations

import json
import math
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from reelbench.bench.generators import BenchError
from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.record.run import (
    ArrivalsRecord,
    CaseRecord,
    DocumentRecord,
    EnvironmentRecord,
    RunRecord,
    RunState,
    ScenarioRecord,
    StoreCount,
    write_run,
)
from reelbench.loadgen.record.run_files import JOBS_FILE, REQUESTS_FILE, SCHEMA_VERSION

LEVELS: Final = (1, 5, 10, 20, 50)
"""Virtual users of the closed cases; each case has a seventh of the jobs, and the open case the rest."""
OPERATIONS: Final = (("create", 0.004), ("wait", 0.4), ("content", 0.02))
"""Requests of a job with their share of its response time, roughly; one record each."""
_START: Final = 1_790_000_000.0
_FAILED_EVERY: Final = 211
_CHUNK: Final = 10_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one export."""

    jobs: int
    seconds: float
    peak_bytes: int
    """Largest resident set of the exporting process."""


def run(sizes: Sequence[int], seed: int, folder: Path, *, say: Callable[[str], None]) -> list[Cost]:
    """Make a run of each size, export it with all default formats in a process of its own, and return the costs.

    Raises:
        BenchError: an export failed.
    """
    costs = []
    for size in sizes:
        run_dir = folder / f"made-{size}"
        begun = time.monotonic()
        make(run_dir, size, seed)
        say(f"made {size:,} jobs in {time.monotonic() - begun:.1f} s")
        costs.append(_export(run_dir, size))
        say(line(costs[-1]))
    return costs


def line(cost: Cost) -> str:
    """Return one cost as a line of text."""
    each = cost.seconds / cost.jobs * 1e6
    return f"{cost.jobs:>9,} jobs: {cost.seconds:6.1f} s, {cost.peak_bytes / 1e6:7.0f} MB, {each:6.1f} us a job"


def growth(costs: Sequence[Cost]) -> str:
    """Return how time and memory grow with the jobs: exponents of a power law between the first and the last size."""
    first, last = costs[0], costs[-1]
    span = math.log(last.jobs / first.jobs)
    time_exponent, memory_exponent = (
        math.log(high / low) / span
        for low, high in ((first.seconds, last.seconds), (first.peak_bytes, last.peak_bytes))
    )
    return (
        f"growth from {first.jobs:,} to {last.jobs:,} jobs: time n^{time_exponent:.2f}, memory n^{memory_exponent:.2f}"
    )


def make(folder: Path, jobs: int, seed: int) -> None:
    """Write the records of a made run."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    cases: list[CaseRecord] = []
    each = jobs // (len(LEVELS) + 2)
    now = _START
    encode = msgspec.json.Encoder().encode
    with (folder / JOBS_FILE).open("wb") as job_file, (folder / REQUESTS_FILE).open("wb") as request_file:
        for level in LEVELS:
            now = _case(
                _closed(f"n{level:02}", level, each, now), rng, job_file.write, request_file.write, cases, encode
            )
        rest = jobs - each * len(LEVELS)
        now = _case(_open("open", rest, now), rng, job_file.write, request_file.write, cases, encode)
    stored = jobs
    scenario = ScenarioRecord(
        name="concurrent_load",
        dimension="performance",
        title="Levels of load",
        why="A made run.",
        steps=["create", "wait", "content"],
        state=RunState.COMPLETED,
        started=_START,
        ended=now,
        cases=cases,
        objectives={},
        store=StoreCount(expected=stored, found=stored, by_status={"completed": stored}, error=None),
    )
    write_run(folder, _head(folder.name, seed, scenario, now))


def _closed(name: str, users: int, jobs: int, started: float) -> CaseRecord:
    return CaseRecord(
        name=name,
        model="closed",
        concurrency=users,
        planned=jobs,
        warmup=0,
        started=started,
        ended=None,
        generator_cpu=0.1,
        loop_lag_p99=0.001,
    )


def _open(name: str, jobs: int, started: float) -> CaseRecord:
    rate = 50.0
    arrivals = ArrivalsRecord(process="poisson", rate=rate, seconds=jobs / rate, drain=10.0, max_in_flight=500)
    case = _closed(name, 0, jobs, started)
    return msgspec.structs.replace(case, model="open", arrivals=arrivals)


def _case(  # noqa: PLR0917 - the parts of a writer
    case: CaseRecord,
    rng: random.Random,
    put_job: Callable[[bytes], int],
    put_request: Callable[[bytes], int],
    cases: list[CaseRecord],
    encode: Callable[[object], bytes],
) -> float:
    """Write the jobs of one case; return when the next one begins."""
    last = case.started or 0.0
    for number, job in enumerate(_jobs(case, rng)):
        put_job(encode(job) + b"\n")
        for request in _requests(job):
            put_request(encode(request) + b"\n")
        last = max(last, job.done)
        assert number < case.planned
    cases.append(msgspec.structs.replace(case, ended=last))
    return last + 1.0


def _jobs(case: CaseRecord, rng: random.Random) -> Iterator[JobRecord]:
    users = max(case.concurrency, 1)
    free = [case.started or 0.0] * users
    arrived = case.started or 0.0
    for index in range(case.planned):
        if case.arrivals is not None:
            arrived += rng.expovariate(case.arrivals.rate)
            due = arrived
        else:
            due = free[index % users]
        sent = due + rng.uniform(0.0001, 0.0009)
        done = sent + rng.lognormvariate(-0.9, 0.3)
        free[index % users] = done
        failed = index % _FAILED_EVERY == _FAILED_EVERY - 1
        yield JobRecord(
            scenario="concurrent_load",
            case=case.name,
            index=index,
            warmup=False,
            due=due,
            sent=sent,
            accepted=sent + 0.004,
            done=done,
            outcome=Outcome.FAILED if failed else Outcome.COMPLETED,
            job_id=f"video_{case.name}_{index}",
            trace_id=f"{rng.getrandbits(128):032x}",
            bytes=0 if failed else 80_000 + index % 1_000,
            deleted=False,
            integrity=None,
            error="the model gave up" if failed else None,
        )


def _requests(job: JobRecord) -> Iterator[RequestRecord]:
    sent = job.sent
    for operation, share in OPERATIONS:
        duration = share * (job.done - job.sent)
        yield RequestRecord(
            scenario=job.scenario,
            case=job.case,
            index=job.index,
            warmup=False,
            operation=operation,
            sent=sent,
            duration=duration,
            status=200,
            bytes=300,
        )
        sent += duration


def _head(run_id: str, seed: int, scenario: ScenarioRecord, ended: float) -> RunRecord:
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        profile="standard",
        seed=seed,
        plan_hash="0" * 64,
        target="http://127.0.0.1:1",
        state=RunState.COMPLETED,
        started=_START,
        ended=ended,
        document=DocumentRecord(name="paper.pdf", sha256="0" * 64, bytes=100_000),
        environment=EnvironmentRecord(
            cpu_model="made",
            cpu_count=os.cpu_count() or 1,
            memory_bytes=0,
            os="made",
            python="3",
            packages={},
            commit=None,
            dirty=False,
            lock_sha256=None,
        ),
        scenarios=[scenario],
        faults=[],
    )


def _export(run_dir: Path, jobs: int) -> Cost:
    """Export a run in a process of its own, which measures itself."""
    done = subprocess.run(
        [sys.executable, "-m", "reelbench.bench.export", str(run_dir)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"the export of {jobs:,} jobs failed: {done.stderr.strip().splitlines()[-1:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Cost(jobs, found["seconds"], found["peak_bytes"])


def _measured(run_dir: Path) -> None:
    """Export a run and print seconds and peak memory, imports included."""
    from reelbench.reporting.export import export  # noqa: PLC0415 - part of what is measured
    from reelbench.reporting.publish import DEFAULT  # noqa: PLC0415

    begun = time.monotonic()
    export(run_dir, None, charts=True, formats=DEFAULT)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.monotonic() - begun, "peak_bytes": peak}))  # noqa: T201 - read by the parent


if __name__ == "__main__":
    _measured(Path(sys.argv[1]))
