"""The rule that says whether a server sustains an arrival rate, from the jobs of one open case.

The load generator decides with it which rate to try next, and the reports state the knee with it. Its measured error
rates are in ``docs/statistics.md``; ``scripts/simulate_knee.py`` prints them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome

Process = Literal["constant", "poisson", "trace"]
"""How jobs arrive."""

MIN_ENDED = 0.99
"""Share of the offered jobs that must end before the cut-off."""
DISPERSION: Mapping[Process, float] = MappingProxyType({"constant": 0.9, "poisson": 1.8, "trace": 1.8})
"""Times the square root of the arrivals by which a backlog may grow by chance: counts of ends fluctuate, and those of
random arrivals too."""
MIN_GROWTH = 4
"""Jobs by which any backlog may grow."""
NEGLIGIBLE = 0.02
"""Share of the arrivals by which a backlog may grow in a case of any length."""
SETTLED = 0.25
"""Share of a case after which its backlog is judged, or the median response time where that is longer; at most half.

Before that, the backlog rises from zero at any rate.
"""
ENOUGH: Mapping[Process, int] = MappingProxyType({"constant": 180, "poisson": 800, "trace": 800})
"""Jobs from which a rate that holds is proven to: a growing backlog at 1.2 times the capacity is then found in at least
95 % of cases, and one at 0.95 of the capacity is mistaken for it in at most 5 %."""

MAX_LATENESS = 0.05
"""Seconds. A smaller delay is within the jitter of a busy laptop."""
MAX_LATENESS_SHARE = 0.1
"""Share of the median response time, which includes the send delay: the accepted error."""
LATENESS_QUANTILE = 0.99
RESPONSE_QUANTILE = 0.95

CUT_OFF = frozenset({Outcome.TIMEOUT, Outcome.ABORTED})
"""Outcomes of jobs that were not finished when the client stopped waiting: their times are lower limits."""


class Result(StrEnum):
    """What one open case says of its rate."""

    HOLDS = "holds"
    FAILS = "does not hold"
    INCONCLUSIVE = "inconclusive"
    """The load generator was late, so the rate was not the planned one."""


class RateLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of a rate that holds, in addition to the backlog."""

    success: float = 0.95
    """Least share of completed jobs."""
    response_p95: float | None = 2.0
    """Most seconds of the P95 of the response time; None: no limit."""


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """Arrivals and ends of jobs in the judged part of a case."""

    arrived: int
    ended: int
    seconds: float
    """Length of the judged part."""
    process: Process

    @property
    def added(self) -> int:
        """Jobs by which the backlog grew."""
        return self.arrived - self.ended

    @property
    def slope(self) -> float:
        """Growth in jobs per second."""
        return self.added / self.seconds

    @property
    def completion(self) -> float:
        """Ended jobs per second."""
        return self.ended / self.seconds

    @property
    def growing(self) -> bool:
        """True when the server ends fewer jobs than arrive, beyond chance."""
        return self.added > self.tolerance

    @property
    def tolerance(self) -> float:
        """Most jobs by which a backlog grows by chance."""
        return max(MIN_GROWTH, DISPERSION[self.process] * math.sqrt(self.arrived), NEGLIGIBLE * self.arrived)


class RateFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one open case show about its rate."""

    success: float
    """Share of completed jobs; 0 without jobs."""
    slow: bool
    """True when the P95 of the response time is not known to be within its limit."""
    ended: float
    """Share of the offered jobs that ended before the cut-off."""
    growth: Growth
    lateness: float
    """P99 of the send delay in seconds, exact."""
    most_lateness: float
    """Limit of the lateness in seconds."""
    limits: RateLimits

    @property
    def late(self) -> bool:
        """True when the load generator was later than its limit."""
        return self.lateness > self.most_lateness

    @property
    def fails(self) -> bool:
        """True when a limit of the server is broken."""
        return self.success < self.limits.success or self.slow or self.ended < MIN_ENDED or self.growth.growing

    @property
    def result(self) -> Result:
        """The answer for this rate alone."""
        if self.late:
            return Result.INCONCLUSIVE
        return Result.FAILS if self.fails else Result.HOLDS


def judge(
    jobs: Sequence[JobRecord],
    *,
    started: float,
    seconds: float,
    offered: int,
    process: Process,
    limits: RateLimits,
    broken: int = 0,
) -> RateFindings:
    """Return what the measured jobs of an open case show.

    Args:
        jobs: measured jobs.
        started: start of the measured part.
        seconds: how long jobs arrived.
        offered: jobs that were due.
        process: how they arrived.
        limits: limits of success and response time.
        broken: completed jobs whose file does not decode.
    """
    completed = [job for job in jobs if job.outcome is Outcome.COMPLETED]
    cut_off = sum(job.outcome in CUT_OFF for job in jobs)
    judged = sum(job.outcome is not Outcome.ABORTED and job.outcome is not Outcome.CANCELLED for job in jobs)
    responses = sorted(job.done - job.due for job in completed)
    within = math.inf if limits.response_p95 is None else bisect_right(responses, limits.response_p95)
    median = responses[_rank(len(responses), 0.5)] if responses else 0.0
    return RateFindings(
        success=(len(completed) - broken) / judged if judged else 0.0,
        slow=within < _rank(len(completed) + cut_off, RESPONSE_QUANTILE) + 1,
        ended=(len(jobs) - cut_off) / offered if offered else 0.0,
        growth=growth([job.due - started for job in jobs], [job.done - started for job in jobs], seconds, process),
        lateness=lateness(jobs),
        most_lateness=max(MAX_LATENESS, MAX_LATENESS_SHARE * median),
        limits=limits,
    )


def growth(due: Sequence[float], done: Sequence[float], seconds: float, process: Process) -> Growth:
    """Return arrivals and ends in the judged part of a case; times count from its start, one of each for each job."""
    times = sorted(end - start for start, end in zip(due, done, strict=True))
    filled = times[_rank(len(times), 0.5)] if times else 0.0
    begin = min(max(SETTLED * seconds, filled), seconds / 2)
    return Growth(
        arrived=sum(begin < at <= seconds for at in due),
        ended=sum(begin < at <= seconds for at in done),
        seconds=seconds - begin,
        process=process,
    )


def own_send_delay(job: JobRecord) -> float:
    """Return the generator's own delay in seconds: from when a job was due, or released by a limit, to its sending."""
    return job.sent - (job.due if job.released is None else job.released)


def lateness(jobs: Sequence[JobRecord]) -> float:
    """Return the P99 of the generator's own delay in seconds; 0 without jobs."""
    delays = sorted(map(own_send_delay, jobs))
    return delays[_rank(len(delays), LATENESS_QUANTILE)] if delays else 0.0


def _rank(count: int, q: float) -> int:
    """Return the position of a quantile among sorted values, from 0 (nearest rank)."""
    return max(math.ceil(q * count), 1) - 1
