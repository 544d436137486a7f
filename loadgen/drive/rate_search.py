"""The order in which the cases of a scenario are run: as in the file, or by bisection of their arrival rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from reelbench.loadgen.record.rate_rule import Result
from reelbench.loadgen.record.run import CaseRecord, RunRecord


def expected(rates: Sequence[float], run: RunRecord) -> int | None:
    """Return the rate nearest to the most jobs per second that ended in a case of the run so far.

    Only closed cases of performance without a pace and without faults count: they ask as much as the server can do.
    None where no such case has ended.
    """
    faulty = {(fault.scenario, fault.case) for fault in run.faults}
    ended = [
        _jobs_per_second(case)
        for scenario in run.scenarios
        if scenario.dimension == "performance"
        for case in scenario.cases
        if (scenario.name, case.name) not in faulty
    ]
    most = max(ended, default=0.0)
    return nearest(rates, most) if most > 0 else None


def nearest(rates: Sequence[float], wanted: float) -> int:
    """Return the position of the rate that is nearest to another one on a logarithmic scale."""
    return min(range(len(rates)), key=lambda number: abs(math.log(rates[number] / wanted)))


def _jobs_per_second(case: CaseRecord) -> float:
    """Return the jobs per second of a closed case without a pace that has ended; 0 for any other case."""
    if case.model != "closed" or case.pace is not None or case.started is None or case.ended is None:
        return 0.0
    return case.planned / (case.ended - case.started) if case.ended > case.started else 0.0


class CaseOrder(Protocol):
    """Decides which case runs next, by its position in the scenario."""

    def next(self) -> int | None:
        """Return the next case; None: no further case is needed."""

    def learn(self, case: int, result: Result) -> None:
        """Take in what a case says of its rate."""


class InOrder:
    """Every case, in the order of the file."""

    def __init__(self, count: int) -> None:
        self._left = iter(range(count))

    def next(self) -> int | None:
        """Return the next case; None after the last."""
        return next(self._left, None)

    def learn(self, case: int, result: Result) -> None:
        """Ignore the result."""


class RateSearch:
    """Bisection of ascending rates: each result halves those between the highest that holds and the lowest that fails.

    Where the run has measured what the server completes, the search begins at the rate nearest to it, goes on at its
    neighbour, and halves only what these two leave. A rate without a conclusive result is left out, and the search goes
    on at the nearest rate that was not tried.
    """

    def __init__(self, count: int, first: int | None = None) -> None:
        """Begin with all rates.

        Args:
            count: number of rates.
            first: the rate at which the knee is expected; None: it is not known.
        """
        self._first = first
        self._low = -1
        self._high = count
        self._tried: set[int] = set()

    def next(self) -> int | None:
        """Return the untried rate nearest to where the knee is expected; None: the bracket has none left."""
        aim = self._aim()
        left = (case for case in range(self._low + 1, self._high) if case not in self._tried)
        return min(left, key=lambda case: (abs(case - aim), case), default=None)

    def _aim(self) -> float:
        if self._first is not None and len(self._tried) < 2:  # noqa: PLR2004 - the expected rate and its neighbour
            return self._first
        return (self._low + self._high) / 2

    def learn(self, case: int, result: Result) -> None:
        """Narrow the bracket."""
        self._tried.add(case)
        if result is Result.HOLDS:
            self._low = max(self._low, case)
        elif result is Result.FAILS:
            self._high = min(self._high, case)
