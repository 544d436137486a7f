"""The HTTP requests of a run in columns: a million jobs send several million requests."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Self

from reelbench.loadgen.record.jobs import RequestRecord


class Requests:
    """Durations and counts of the measured requests; warm-up is left out."""

    def __init__(self) -> None:
        self._durations: defaultdict[tuple[str, str], array[float]] = defaultdict(lambda: array("d"))
        self._counts: Counter[tuple[str, str]] = Counter()

    @classmethod
    def of(cls, records: Iterable[RequestRecord]) -> Self:
        """Return the columns of records, which are read once."""
        found = cls()
        durations, counts = found._durations, found._counts
        for record in records:
            if not record.warmup:
                durations[record.scenario, record.operation].append(record.duration)
                counts[record.scenario, record.case] += 1
        return found

    def durations(self, scenario: str, operation: str) -> list[float]:
        """Return the durations of an operation in a scenario, in seconds, in the order of the file."""
        return list(self._durations.get((scenario, operation), ()))

    def count(self, scenario: str, case: str) -> int:
        """Return the number of requests of a case."""
        return self._counts[scenario, case]
