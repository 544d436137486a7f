"""Export of made runs: seconds and peak memory by the number of jobs.

A made run has the records that a driven run has: jobs with their requests, in closed cases at five levels of load and
one open case. No Prometheus is asked, so the time is that of reading, judging and rendering. Traces are measured
apart, in runs of fewer jobs, because the spans of a job take 28 kB: finding those of the reports is one pass.
"""

from __future__ import annotations

import json
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from reelbench.bench import made_traces
from reelbench.bench.generators import BenchError
from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord, read_jobs
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
from reelbench.loadgen.record.run_files import JOBS_FILE, REQUESTS_FILE, SCHEMA_VERSION, TRACES_DIR

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


@dataclass(frozen=True, slots=True)
class TraceCost:
    """Cost of finding the traces that the reports of a run show."""

    jobs: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Largest resident set of a reading process."""
    file_bytes: int
    read_bytes: int
    """Bytes that the reading processes read of any file or pipe; 0 where the kernel does not count them."""
    traces: int
    """Traces found."""


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


def run_traces(sizes: Sequence[int], seed: int, folder: Path, *, say: Callable[[str], None]) -> list[TraceCost]:
    """Make a run with traces of each size, find the traces that its reports show, and return the costs.

    Raises:
        BenchError: the traces could not be read.
    """
    costs = []
    for size in sizes:
        run_dir = folder / f"made-traces-{size}"
        make(run_dir, size, seed)
        file_bytes = made_traces.write(run_dir / TRACES_DIR, run_dir.name, read_jobs(run_dir))
        say(f"made the traces of {size:,} jobs, {file_bytes / 1e6:,.0f} MB")
        found = _measured_apart(run_dir, "traces", f"the reading of the traces of {size:,} jobs")
        costs.append(TraceCost(jobs=size, file_bytes=file_bytes, **found))
        say(trace_line(costs[-1]))
        shutil.rmtree(run_dir)
    return costs


def trace_line(cost: TraceCost) -> str:
    """Return one cost as a line of text."""
    read = f", {cost.read_bytes / cost.file_bytes:.2f} x their bytes read" if cost.read_bytes else ""
    of = f"{cost.traces:,} traces out of {cost.file_bytes / 1e6:,.0f} MB"
    cpu = f"{cost.cpu_seconds / cost.file_bytes * 1e9:.1f} s of CPU per GB"
    return f"{cost.jobs:>9,} jobs: {cost.seconds:6.1f} s, {cost.peak_bytes / 1e6:7.0f} MB for {of}, {cpu}{read}"


def growth(costs: Sequence[Cost] | Sequence[TraceCost]) -> str:
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
    return Cost(jobs, **_measured_apart(run_dir, "export", f"the export of {jobs:,} jobs"))


def _measured_apart(run_dir: Path, part: str, what: str) -> dict[str, Any]:
    """Measure in a process of its own, which measures itself."""
    done = subprocess.run(
        [sys.executable, "-m", "reelbench.bench.export", part, str(run_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{what} failed: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measured_traces(run_dir: Path) -> None:
    """Find the traces that the reports of a run show, and print what it took."""
    from reelbench.reporting.evidence.file_traces import FileTraces  # noqa: PLC0415 - each part imports what it measures
    from reelbench.reporting.evidence.trace_sampling import wanted  # noqa: PLC0415
    from reelbench.reporting.export import read_evidence  # noqa: PLC0415

    evidence = read_evidence(run_dir)
    source = FileTraces(run_dir / TRACES_DIR)
    traces = wanted(evidence, source.per_case)
    before, read, cpu = time.monotonic(), _bytes_read(), _cpu_seconds()
    found = source.gather(traces)
    values = {
        "seconds": time.monotonic() - before,
        "cpu_seconds": _cpu_seconds() - cpu,
        "read_bytes": _bytes_read() - read,
        "peak_bytes": max(_peak(resource.RUSAGE_SELF), _peak(resource.RUSAGE_CHILDREN)),
        "traces": len(found.spans),
    }
    print(json.dumps(values))  # noqa: T201 - read by the parent


def _bytes_read() -> int:
    """Return the bytes read by this process and its ended children; 0 where the kernel does not count them."""
    counts = Path("/proc/self/io")
    return int(counts.read_text().split()[1]) if counts.exists() else 0


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def _peak(who: int) -> int:
    """Return the largest resident set in bytes."""
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _measured(run_dir: Path) -> None:
    """Export a run and print seconds and peak memory, imports included."""
    from reelbench.reporting.export import export  # noqa: PLC0415 - part of what is measured
    from reelbench.reporting.formats import DEFAULT  # noqa: PLC0415

    begun = time.monotonic()
    export(run_dir, None, charts=True, formats=DEFAULT)
    print(json.dumps({"seconds": time.monotonic() - begun, "peak_bytes": _peak(resource.RUSAGE_SELF)}))  # noqa: T201 - read by the parent


if __name__ == "__main__":
    {"export": _measured, "traces": _measured_traces}[sys.argv[1]](Path(sys.argv[2]))
