"""A made run of open cases: a queue with known arrivals and departures."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import ArrivalsRecord, CaseRecord, RunRecord, RunState, ScenarioRecord
from tests.reporting.made_run import START, MadeRun

WORKERS, WORK = 8, 0.4
"""So the service does 20 jobs per second at most."""


def even(rate: float, seconds: float, start: float = 0.0) -> list[float]:
    return [start + k / rate for k in range(round(rate * seconds))]


def queue(arrivals: Sequence[float], workers: int = WORKERS, work: float = WORK) -> list[float]:
    """The end of each job in a queue with the given number of workers."""
    free = [0.0] * workers
    done = []
    for arrival in arrivals:
        begun = max(arrival, heapq.heappop(free))
        heapq.heappush(free, begun + work)
        done.append(begun + work)
    return done


def jobs_of(
    scenario: str,
    case: str,
    arrivals: Sequence[float],
    done: Sequence[float],
    *,
    start: float = START,
    cut_off: float | None = None,
    late: float = 0.001,
    change: Callable[[JobRecord], JobRecord] = lambda job: job,
) -> list[JobRecord]:
    """Jobs with intended starts `arrivals` and ends `done`, in seconds; jobs that end after `cut_off` time out."""
    jobs = []
    for index, (arrival, end) in enumerate(zip(arrivals, done, strict=True)):
        over = cut_off is not None and end > cut_off
        job = JobRecord(
            scenario=scenario,
            case=case,
            index=index,
            warmup=False,
            due=start + arrival,
            sent=start + arrival + late,
            accepted=start + arrival + late,
            done=start + (cut_off if over and cut_off is not None else end),
            outcome=Outcome.TIMEOUT if over else Outcome.COMPLETED,
            job_id=f"{case}-{index}",
            trace_id=f"{index:032x}",
            bytes=0 if over else 5000,
            deleted=over,
            integrity=None,
            error="not finished when the case was cut off" if over else None,
        )
        jobs.append(change(job))
    return jobs


def case_of(name: str, planned: int, seconds: float, rate: float, **more: object) -> CaseRecord:
    values: dict[str, object] = {
        "name": name,
        "model": "open",
        "concurrency": 0,
        "planned": planned,
        "warmup": 0,
        "started": START,
        "ended": START + seconds + 1,
        "generator_cpu": 0.1,
        "loop_lag_p99": 0.002,
        "arrivals": ArrivalsRecord(process="constant", rate=rate, seconds=seconds, drain=5, max_in_flight=500),
    }
    return CaseRecord(**(values | more))  # type: ignore[arg-type]


def run_of(made: MadeRun, scenario: str, cases: list[CaseRecord], state: RunState = RunState.COMPLETED) -> RunRecord:
    """The made run with only one scenario, which has open cases."""
    record = ScenarioRecord(
        name=scenario,
        dimension="performance",
        title=scenario,
        why="why",
        steps=["create", "wait", "content"],
        state=state,
        started=START,
        ended=START + 100,
        cases=cases,
        objectives={},
        store=None,
    )
    return msgspec.structs.replace(made.run, scenarios=[record], state=state)
