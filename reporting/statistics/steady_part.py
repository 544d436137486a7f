"""The steady part of a closed loop: the time between the burst at its start and the drain at its end.

All virtual users of a closed loop send their first job at once, and at the end fewer and fewer of them have a job. The
steady part lies between: from the time at which each virtual user has completed its first job until the first of them
finds no job left. This is the truncation by the first and the last round of jobs; MSER-5 (K. P. White, "An effective
truncation heuristic for bias reduction in simulation output", Simulation 69(6), 1997) removes no drain.

Both limits lie midway between the end that sets them and the next end within the part. Where all jobs end in waves, the
part then has as many ends as whole rounds; limits at the ends themselves would add or lose a part of a round.

A service that stands still before or after that part would not show in it. So there is no steady part where many of
the jobs that reach out of it took far longer than all jobs within it (error rates: scripts/simulate_steady_part.py).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from heapq import nsmallest

import msgspec

LEAST_JOBS = 20
"""Jobs from which a steady part is used: with fewer, P95 is the maximum."""
LEAST_WITHIN = 10
"""Jobs that begin and end in a steady part, from which they alone say how long a job takes there."""
FAR_LONGER = 2.0
"""Multiple of the longest job of the steady part from which a job was held up."""
HELD_UP_SHARE = 0.25
"""Of the virtual users, but at least two, whose jobs must be held up; one late job is no standstill."""


class SteadyPart(msgspec.Struct, frozen=True):
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


class NoSteadyPart(msgspec.Struct, frozen=True):
    """Why a closed loop has no steady part."""

    held_up: int = 0
    """Jobs at the start and at the end that took far longer than those between; 0: there are too few jobs."""
    longest: float = 0.0
    """The longest job between them, in seconds."""


TOO_FEW = NoSteadyPart()
"""Fewer jobs than one for each virtual user, or than 20, end in it."""


def steady_part(jobs: Sequence[tuple[float, float]], virtual_users: int) -> SteadyPart | NoSteadyPart:
    """Return the steady part, or why there is none.

    Args:
        jobs: When each became due and when it ended, in seconds. Failed jobs hold a virtual user as completed ones do.
        virtual_users: Jobs that the closed loop keeps in flight, which start at once.
    """
    if len(jobs) <= virtual_users or not virtual_users:
        return TOO_FEW
    ends = sorted(done for _, done in jobs)
    first_round = max(done for _, done in nsmallest(virtual_users, jobs))
    last_due = max(due for due, _ in jobs)
    after = bisect_right(ends, last_due)  # the first end after the last due time leaves a user without a job
    before = bisect_left(ends, ends[after]) if after < len(ends) else 0
    begin = bisect_right(ends, first_round)
    if before - begin < max(LEAST_JOBS, virtual_users):
        return TOO_FEW
    found = SteadyPart((first_round + ends[begin]) / 2, (ends[before - 1] + ends[before]) / 2, before - begin)
    return _held_up(jobs, virtual_users, found) or found


def _held_up(jobs: Sequence[tuple[float, float]], virtual_users: int, part: SteadyPart) -> NoSteadyPart | None:
    """Return what was held up outside a steady part; None where too little was."""
    within = [done - due for due, done in jobs if due >= part.started and done <= part.ended]
    if len(within) < LEAST_WITHIN:
        within = [done - due for due, done in jobs if part.holds(done)]
    longest = max(within)
    held_up = sum(done - due > FAR_LONGER * longest for due, done in jobs if due < part.started or done > part.ended)
    return NoSteadyPart(held_up, longest) if held_up >= max(2, HELD_UP_SHARE * virtual_users) else None
