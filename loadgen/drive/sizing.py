"""The size of a run: its time budget, and the number of jobs that follows from the length of one."""

from __future__ import annotations

import math
from collections.abc import Callable

from reelbench.loadgen import telemetry
from reelbench.loadgen.drive.calibration import calibrate, check_accepted
from reelbench.loadgen.drive.progress import ProgressView
from reelbench.loadgen.drive.replicas import Replica
from reelbench.loadgen.drive.steps import Steps
from reelbench.loadgen.drive.stop import Stop, run_unless
from reelbench.loadgen.options import Settings
from reelbench.loadgen.plan.budget import fit, lasting, needs_calibration
from reelbench.loadgen.plan.scenario import MLPERF_LIKE, Scenario
from reelbench.loadgen.record.run import BudgetRecord

DEFAULT_BUDGET = 1_200.0
"""Seconds of load on a server of another maker where the user names neither scenarios nor a budget."""


def time_budget(settings: Settings, *, ours: bool | None, say: Callable[[str], None]) -> float | None:
    """Return the seconds of the time budget; None: the profile alone decides how much is sent.

    The sizes of the profiles are made for the service of this project: another maker's server, to which they can be a
    day's work, gets a default budget unless the user says what to run.
    """
    if settings.budget is not None:
        return settings.budget or None
    if ours or settings.named or settings.rendezvous is not None or settings.profile_name == MLPERF_LIKE:
        return None
    say(f"--budget is not given: planned for {DEFAULT_BUDGET / 60:g} minutes (--budget none: the whole profile)")
    return DEFAULT_BUDGET


async def after_one_job(  # noqa: PLR0917 - the parts of a session
    settings: Settings,
    budget: float | None,
    scenarios: list[Scenario],
    steps: Steps,
    stop: Stop,
    view: ProgressView,
    replica: Replica | None,
) -> tuple[list[Scenario], BudgetRecord | None]:
    """Return the scenarios as one job before the plan shows them: its length decides their size, if it is needed.

    Raises:
        TargetError: a server of another maker refuses the job, or the job did not complete where its length is needed.
        BudgetError: the budget is too small.
    """
    if budget is not None or needs_calibration(scenarios):
        return await _calibrated(settings, budget, scenarios, steps, stop, view, replica)
    sending = (one for one in scenarios if any(case.model != "idle" for case in one.cases))
    first = next(sending, None)
    if settings.first_job and steps.target.ours is False and settings.rendezvous is None and first is not None:
        checked = check_accepted(
            first, settings.seed, steps=steps, clock=steps.clock, workload=settings.inputs.workload
        )
        await run_unless(stop.requested, checked)
    return scenarios, None


async def _calibrated(  # noqa: PLR0917 - the parts of a session
    settings: Settings,
    budget: float | None,
    scenarios: list[Scenario],
    steps: Steps,
    stop: Stop,
    view: ProgressView,
    replica: Replica | None,
) -> tuple[list[Scenario], BudgetRecord | None]:
    """Run one job, and return the scenarios with the number of jobs that follows from its length.

    Raises:
        TargetError: the job did not complete.
        BudgetError: the budget is too small.
    """
    first = min(scenarios, key=lambda scenario: scenario.rank)
    view.say("calibration: one job")
    limit = min(budget or math.inf, first.time_limit)
    begun = steps.clock.now()

    async def one_job() -> float | None:
        return await run_unless(
            stop.requested,
            calibrate(
                first,
                settings.seed,
                steps=steps,
                clock=steps.clock,
                limit=limit,
                workload=settings.inputs.workload,
            ),
        )

    took = await (one_job() if replica is None else replica.shared("calibration", one_job, stop.requested))
    if took is None:
        return scenarios, None
    scenarios = [lasting(scenario, settings.profile, took) for scenario in scenarios]
    if budget is None:
        view.say(f"calibration: a job takes {took:.3g} s")
        return scenarios, None
    left = max(0.0, budget - (steps.clock.now() - begun))
    fitted = fit(scenarios, settings.profile, job_seconds=took, budget=left, interval=telemetry.interval())
    view.say(f"calibration: a job takes {took:.3g} s; planned jobs: {fitted.jobs}, {fitted.seconds / 60:.3g} min")
    if fitted.left_out:
        names = ", ".join(dict.fromkeys(line.partition(":")[0].partition(" ")[0] for line in fitted.left_out))
        view.say(f"left out to keep the budget (cases and reasons in the reports): all or part of {names}")
    return list(fitted.scenarios), BudgetRecord(
        seconds=budget,
        job_seconds=took,
        expected=fitted.seconds,
        jobs=fitted.jobs,
        left_out=list(fitted.left_out),
        default=settings.budget is None,
    )
