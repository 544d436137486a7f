"""The interval of the knee of a ramp: between the rates that surely hold and those that surely do not."""

from __future__ import annotations

from reelbench.reporting.analysis.capacity import MAX_P95, MIN_SUCCESS, Knee, Step, growing
from reelbench.reporting.statistics.intervals import Interval

METHOD = "rates of the ramp at which the intervals of success and P95 lie within, or beyond, their limits"


def rate_limits(found: Knee) -> Interval:
    """Return the highest rate that is proven to hold, and the highest one below the first that is proven not to."""
    lower = 0.0
    for step in found.steps:
        if not _surely_holds(step):
            break
        lower = step.case.load.rate
    below = 0.0
    for step in found.steps:
        if _surely_fails(step):
            return Interval(lower, below)
        below = step.case.load.rate
    return Interval(lower, None)


def _surely_holds(step: Step) -> bool:
    success, p95 = step.case.success, step.case.response(0.95)
    if step.broken or success is None or p95 is None or p95.interval.upper is None:
        return False
    return success.lower >= MIN_SUCCESS and p95.interval.upper <= MAX_P95


def _surely_fails(step: Step) -> bool:
    success, p95 = step.case.success, step.case.response(0.95)
    slow = p95 is not None and p95.interval.lower is not None and p95.interval.lower > MAX_P95
    return slow or growing(step.case) is not None or (success is not None and success.upper < MIN_SUCCESS)
