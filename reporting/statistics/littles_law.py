"""Little's law in a closed loop: the jobs in flight by the records, compared with the virtual users.

L = lambda W: the average number of jobs in a system is the rate at which they arrive times the average time they stay
(J. D. C. Little, "A Proof for the Queuing Formula: L = lambda W", Operations Research 9(3), 1961). Over a bounded time
it holds exactly for what was observed in it (P. J. Denning and J. P. Buzen, "The Operational Analysis of Queueing
Network Models", ACM Computing Surveys 10(3), 1978): X = C / T and R = W / C, so X R = W / T.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.05
"""Share of N by which X R may differ."""


class Window(msgspec.Struct, frozen=True):
    """X R over a stretch of time."""

    seconds: float
    throughput: float
    """X: jobs of any outcome that ended in it, per second."""
    response_time: float | None
    """R: seconds that jobs were in flight in it, for each job that ended in it; None when none ended."""
    in_flight: float
    """X R: the time average of the jobs in flight."""


class LittlesLaw(msgspec.Struct, frozen=True):
    """The law over a whole case and while all virtual users are busy."""

    virtual_users: int
    """N: the jobs that the closed loop keeps in flight."""
    whole: Window
    """From the first due time to the last end."""
    busy: Window | None
    """From the start of the last virtual user until one has nothing left to send; None without such a time."""

    @property
    def agrees(self) -> bool:
        """True when X R over the whole case is N, within the tolerance."""
        return abs(off(self.whole, self.virtual_users)) <= TOLERANCE

    @property
    def word(self) -> str:
        """Result of the check in words."""
        if self.agrees:
            return "agrees"
        amount = f"off by {off(self.whole, self.virtual_users) * 100:+.0f} %"
        if self.busy is None:
            return f"{amount}: start and graceful stop included; the virtual users were never all busy"
        if abs(off(self.busy, self.virtual_users)) <= TOLERANCE:
            return f"{amount}: start and graceful stop included; agrees while all virtual users are busy"
        return f"{amount}: also while all virtual users are busy: some were idle, or records are missing"


def off(window: Window, virtual_users: int) -> float:
    """Return the difference of X R and N, as a share of N."""
    return window.in_flight / virtual_users - 1


def check(jobs: Sequence[tuple[float, float]], virtual_users: int) -> LittlesLaw | None:
    """Check the jobs of a closed loop without a pace; None without jobs.

    All virtual users start at once; the first job that ends after the last intended start leaves one idle.

    Args:
        jobs: When each became due and when it ended, in seconds. Failed jobs hold a slot as completed ones do.
        virtual_users: Jobs that the closed loop keeps in flight.
    """
    if not jobs or not virtual_users:
        return None
    table = np.asarray(jobs, dtype=float)
    due, done = np.sort(table[:, 0]), table[:, 1]
    begun = float(due[min(virtual_users, len(due)) - 1])
    emptied = float(np.min(done[done > due[-1]], initial=np.inf))
    if emptied == np.inf:
        emptied = float(due[-1])
    return LittlesLaw(
        virtual_users=virtual_users,
        whole=_window(table, float(due[0]), float(np.max(done))),
        busy=_window(table, begun, emptied) if emptied > begun and len(due) >= virtual_users else None,
    )


def _window(jobs: NDArray[np.float64], start: float, end: float) -> Window:
    seconds = end - start
    due, done = jobs[:, 0], jobs[:, 1]
    held = math.fsum(np.maximum(0.0, np.minimum(done, end) - np.maximum(due, start)).tolist())
    ended = int(np.count_nonzero((start < done) & (done <= end)))
    return Window(
        seconds=seconds,
        throughput=ended / seconds if seconds else 0.0,
        response_time=held / ended if ended else None,
        in_flight=held / seconds if seconds else 0.0,
    )
