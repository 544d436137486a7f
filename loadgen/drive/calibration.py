"""One job before the plan, whose length decides how much fits into a time budget."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.steps import Steps
from reelbench.loadgen.plan.plan import plan_case
from reelbench.loadgen.plan.scenario import Case, PerProfile, Scenario
from reelbench.loadgen.plan.workload import DOCUMENT, Workload
from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord
from reelbench.loadgen.target.target import TargetError

NAME = "calibration"


class _Unrecorded:
    """A sink that keeps nothing: the job is part of no case."""

    def job_started(self) -> None:
        """Implement `Sink.job_started`."""

    def job_ended(self, job: JobRecord, context: Context) -> None:
        """Implement `Sink.job_ended`."""

    def request_ended(self, request: RequestRecord, context: Context) -> None:
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
    one, none = (PerProfile[int](quick=n, standard=n, paper=n) for n in (1, 0))
    case = Case(name=NAME, model="closed", concurrency=1, iterations=one, warmup=none)
    alone = scenario.model_copy(
        update={"name": NAME, "steps": ("create", "wait", "content"), "cases": (case,), "time_limit": limit}
    )
    (planned,) = plan_case(alone, case, "quick", seed, workload)
    runner = JobRunner(run_id=steps.run_id, steps=steps, clock=clock, tracer=NoOpTracer(), sink=_Unrecorded())
    record = await runner.run(planned, alone, clock.now())
    if record.outcome is Outcome.TIMEOUT:
        raise TargetError(f"the calibration job was not finished after {limit:.0f} s; give a longer --budget")
    if record.outcome is not Outcome.COMPLETED:
        raise TargetError(f"the calibration job ended as {record.outcome}: {record.error}; see reelbench probe")
    return record.done - record.sent
