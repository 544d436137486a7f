"""The order in which the cases of a scenario are run: as in the file, or by bisection of their arrival rates."""

from __future__ import annotations

from typing import Protocol

from reelbench.loadgen.record.rate_rule import Result


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

    A rate without a conclusive result is left out, and the search goes on at the nearest rate that was not tried.
    """

    def __init__(self, count: int) -> None:
        """Begin with all rates.

        Args:
            count: number of rates.
        """
        self._low = -1
        self._high = count
        self._tried: set[int] = set()

    def next(self) -> int | None:
        """Return the untried rate nearest to the middle of the bracket; None: the bracket has none left."""
        middle = (self._low + self._high) / 2
        left = (case for case in range(self._low + 1, self._high) if case not in self._tried)
        return min(left, key=lambda case: (abs(case - middle), case), default=None)

    def learn(self, case: int, result: Result) -> None:
        """Narrow the bracket."""
        self._tried.add(case)
        if result is Result.HOLDS:
            self._low = max(self._low, case)
        elif result is Result.FAILS:
            self._high = min(self._high, case)
