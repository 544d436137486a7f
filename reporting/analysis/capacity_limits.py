"""The interval of the knee of a ramp: from a rate that holds to one that does not."""

from __future__ import annotations

from reelbench.loadgen.record.rate_rule import ENOUGH, Result
from reelbench.reporting.analysis.capacity import Knee, Step
from reelbench.reporting.statistics.intervals import Interval

METHOD = "from the highest rate of the ramp that is proven to hold to the lowest that is proven not to"


def rate_limits(found: Knee) -> Interval:
    """Return the highest rate that is proven to hold, and the lowest that is proven not to; rates between are open."""
    broke = found.broke
    holding = [
        step.case.load.rate
        for step in found.steps
        if (broke is None or step.case.load.rate < broke.case.load.rate) and _surely_holds(step)
    ]
    failing = [step.case.load.rate for step in found.steps if _surely_fails(step)]
    return Interval(max(holding, default=0.0), min(failing, default=None))


def _surely_holds(step: Step) -> bool:
    success, p95, limits = step.case.success, step.case.response(0.95), step.found.limits
    if step.result is not Result.HOLDS or success is None or len(step.case.jobs) < ENOUGH[step.case.load.process]:
        return False
    quick = limits.response_p95 is None or (
        p95 is not None and p95.interval.upper is not None and p95.interval.upper <= limits.response_p95
    )
    return success.lower >= limits.success and quick


def _surely_fails(step: Step) -> bool:
    if step.result is not Result.FAILS:
        return False
    success, p95, limits = step.case.success, step.case.response(0.95), step.found.limits
    slow = (
        limits.response_p95 is not None
        and p95 is not None
        and p95.interval.lower is not None
        and p95.interval.lower > limits.response_p95
    )
    return slow or step.found.growth.growing or (success is not None and success.upper < limits.success)
