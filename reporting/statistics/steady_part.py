"""The steady part of a closed loop: the time between the burst at its start and the drain at its end.

All virtual users of a closed loop send their first job at once, and at the end fewer and fewer of them have a job. The
steady part lies between: from the time at which each virtual user has completed its first job until the first of them
finds no job left. This is the truncation by the first and the last round of jobs; MSER-5 (K. P. White, "An effective
truncation heuristic for bias reduction in simulation output", Simulation 69(6), 1997) removes no drain.

Both limits lie midway between the end that sets them and the next end within the part. Where all jobs end in waves, the
part then has as many ends as whole rounds; limits at the ends themselves would add or lose a part of a round.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest

LEAST_JOBS = 20
"""Jobs from which a steady part is used: with fewer, P95 is the maximum."""


@dataclass(frozen=True, slots=True)
class SteadyPart:
    """A stretch of time in seconds; the jobs that end in it stand for the load."""

    started: float
    ended: float
    jobs: int
    """Jobs of any outcome that end in it."""

    @property
    def seconds(self) -> float:
        """Length."""
        return self.ended - self.started

    def holds(self, instant: float) -> bool:
        """Return whether an instant lies in the steady part."""
        return self.started < instant <= self.ended


def steady_part(jobs: Sequence[tuple[float, float]], virtual_users: int) -> SteadyPart | None:
    """Return the steady part; None where fewer jobs than one for each virtual user, or than 20, end in it.

    Args:
        jobs: When each became due and when it ended, in seconds. Failed jobs hold a virtual user as completed ones do.
        virtual_users: Jobs that the closed loop keeps in flight, which start at once.
    """
    if len(jobs) <= virtual_users or not virtual_users:
        return None
    ends = sorted(done for _, done in jobs)
    first_round = max(done for _, done in nsmallest(virtual_users, jobs))
    last_due = max(due for due, _ in jobs)
    after = bisect_right(ends, last_due)  # the first end after the last due time leaves a user without a job
    before = bisect_left(ends, ends[after]) if after < len(ends) else 0
    begin = bisect_right(ends, first_round)
    if not begin < before:
        return None
    started, ended = (first_round + ends[begin]) / 2, (ends[before - 1] + ends[before]) / 2
    enough = before - begin >= max(LEAST_JOBS, virtual_users)
    return SteadyPart(started, ended, before - begin) if enough else None
