"""The part of a plan that one of several load generators runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Share `index` (from 0) of `count`.

    A case's slots are dealt out one by one, and each job belongs to the slot that its index falls on. So all shares
    together keep exactly the case's concurrency, every job is in one share, and a case with fewer slots than there are
    shares leaves some of them idle. Arrivals of an open case are dealt out one by one.
    """

    index: int = 0
    count: int = 1

    def slots(self, concurrency: int) -> int:
        """How many of a case's jobs in flight are this share's."""
        return len(range(self.index, concurrency, self.count))

    def owns(self, job: int, concurrency: int) -> bool:
        """Tell whether the job with this index in its case is this share's."""
        return job % concurrency % self.count == self.index

    def owns_arrival(self, job: int) -> bool:
        """Tell whether the arrival with this index in its case is this share's."""
        return job % self.count == self.index

    def most(self, limit: int) -> int:
        """This share's part of a limit of jobs in flight; one at least, or none of its jobs could be sent."""
        return max(1, self.slots(limit))


WHOLE = Share()
