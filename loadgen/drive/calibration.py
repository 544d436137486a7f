"""One job before the plan: whether the server takes it, and how long it lasts."""

from __future__ import annotations

import re

from opentelemetry.trace import NoOpTracer

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.steps import MODEL_CURE, Steps
from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.loadgen.plan.plan import plan_case
from reelbench.loadgen.plan.scenario import Case, PerProfile, Scenario
from reelbench.loadgen.plan.workload import DOCUMENT, Workload
from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.target.target_error import TargetError

NAME = "calibration"
MOST_ATTEMPTS = 3
"""Jobs that are sent at most until one completes; a server may fail some of its jobs."""
_WRONG = re.compile(r"HTTP 4(?!08|09|29)\d\d")
"""Start of the error of a request that is refused however often it is sent."""


class _Unrecorded:
    """A sink that keeps nothing: the job is part of no case."""

    def job_started(self) -> None:
        """Implement `Sink.job_started`."""

    def job_ended(self, job: JobRecord, trace: JobTrace) -> None:
        """Implement `Sink.job_ended`."""

    def request_ended(self, request: RequestRecord, trace: JobTrace) -> None:
        """Implement `Sink.request_ended`."""


async def calibrate(
    scenario: Scenario, seed: int, *, steps: Steps, clock: Clock, limit: float, workload: Workload = DOCUMENT
) -> float:
    """Run one job, with the video that a scenario asks for, and return its seconds until the file is read.

    Args:
        scenario: source of the video and the times of a job.
        seed: seed of the prompt.
        steps: execute the job.
        clock: measures the job.
        limit: seconds after which the job is given up.
        workload: source of the prompt and of further wishes.

    Raises:
        TargetError: the job did not complete within the limit.
    """
    begun = clock.now()
    for _ in range(MOST_ATTEMPTS):
        record = await _one_job(scenario, seed, steps=steps, clock=clock, limit=limit, workload=workload)
        if record.outcome is Outcome.COMPLETED:
            return record.done - record.sent
        if record.outcome is not Outcome.FAILED or clock.now() - begun > limit / MOST_ATTEMPTS:
            break
    if record.outcome is Outcome.TIMEOUT:
        option = "--budget" if limit < scenario.time_limit else "--time-limit"
        raise TargetError(f"the calibration job was not finished after {limit:.0f} s; give a longer {option}")
    raise TargetError(f"the calibration job ended as {record.outcome}: {record.error}; see reelbench probe")


async def check_accepted(
    scenario: Scenario, seed: int, *, steps: Steps, clock: Clock, workload: Workload = DOCUMENT
) -> None:
    """Run one job, and check that the server does not refuse it: a wrong request says nothing about the server.

    A job that was accepted may end in any way: what the server makes of its jobs is measured later.

    Args:
        scenario: source of the video and the times of a job.
        seed: seed of the prompt.
        steps: execute the job.
        clock: measures the job.
        workload: source of the prompt and of further wishes.

    Raises:
        TargetError: the server refused the job.
    """
    limit = scenario.time_limit
    record = await _one_job(scenario, seed, steps=steps, clock=clock, limit=limit, workload=workload)
    if record.outcome is Outcome.REJECTED and not record.throttled and _WRONG.match(record.error or ""):
        said = record.error or ""
        cure = "" if MODEL_CURE in said else "; see reelbench probe"
        raise TargetError(f"the server refuses a job: {said}{cure}")


async def _one_job(
    scenario: Scenario, seed: int, *, steps: Steps, clock: Clock, limit: float, workload: Workload
) -> JobRecord:
    one, none = (PerProfile[int](quick=n, standard=n, paper=n) for n in (1, 0))
    case = Case(name=NAME, model="closed", concurrency=1, iterations=one, warmup=none)
    alone = scenario.model_copy(
        update={"name": NAME, "steps": ("create", "wait", "content"), "cases": (case,), "time_limit": limit}
    )
    (planned,) = plan_case(alone, case, "quick", seed, workload)
    runner = JobRunner(run_id=steps.run_id, steps=steps, clock=clock, tracer=NoOpTracer(), sink=_Unrecorded())
    return await runner.run(planned, alone, clock.now())
