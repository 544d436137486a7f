"""A burst of arrivals: the peak of the response time, and when it returned to the range before the burst."""

from __future__ import annotations

import math
from statistics import median

import msgspec

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis.open_cases import OpenCase, open_cases
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.statistics.censoring import tail

GROUP = 10
"""Jobs of a running median, which is compared with the steady band, so a single slow job is not a spike."""


class Spike(msgspec.Struct, frozen=True):
    """One burst; times are seconds after its end, unless stated otherwise."""

    case: OpenCase
    begin: float
    """Seconds from the start of the case to the burst."""
    end: float
    band: float
    """Upper limit of the steady band: P95 of the response times of the jobs that were due before the burst."""
    before: int
    """Number of these jobs."""
    peak: float
    """Longest response time from the burst on, in seconds."""
    peak_at_least: bool
    """True when the longest one was cut off."""
    peak_backlog: int
    """Most jobs that were due and not done, at the time any of them was due."""
    recovery: float | None
    """When response times returned to the band; 0 when they never left it, None when not by the end."""
    after: int
    """Jobs that were due from the burst on."""


def spikes(evidence: Evidence, scenario: str) -> tuple[Spike, ...]:
    """Return the bursts of a scenario with enough jobs before and after them."""
    return tuple(found for case in open_cases(evidence, scenario) if (found := spike(case)) is not None)


def spike(case: OpenCase) -> Spike | None:
    """Return the burst of a case; None without one, or with too few jobs around it."""
    load = case.load
    if load.burst_at is None or load.burst_seconds is None:
        return None
    begin, end = load.burst_at, load.burst_at + load.burst_seconds
    before = [job for job in case.jobs if job.due < case.started + begin]
    after = [job for job in case.jobs if job.due >= case.started + begin]
    times = [job.done - job.due if job.outcome is Outcome.COMPLETED else math.inf for job in before]
    steady = tail([time for time in times if math.isfinite(time)], [], 0.95)
    if len(after) < GROUP or steady is None or len(before) < GROUP:
        return None
    waits = [job.done - job.due if job.outcome is Outcome.COMPLETED else math.inf for job in after]
    longest = max(after, key=lambda job: job.done - job.due)
    return Spike(
        case=case,
        begin=begin,
        end=end,
        band=steady.value,
        before=len(before),
        peak=longest.done - longest.due,
        peak_at_least=longest.outcome is not Outcome.COMPLETED,
        peak_backlog=max(case.backlog(job.due - case.started) for job in after),
        recovery=_recovery(waits, [job.due - case.started - end for job in after], steady.value),
        after=len(after),
    )


def _recovery(waits: list[float], dues: list[float], band: float) -> float | None:
    """Return when the middle job of the first group was due from which on every group is within the band."""
    medians = [median(waits[first : first + GROUP]) for first in range(len(waits) - GROUP + 1)]
    out = [first for first, value in enumerate(medians) if value > band]
    if not out:
        return 0.0
    back = out[-1] + 1
    return max(0.0, dues[back + GROUP // 2]) if back < len(medians) else None
