"""The HTTP requests of a run in columns: a million jobs send several million requests."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import add
from typing import Final, NamedTuple, Self

from reelbench.loadgen.record.jobs import RequestRecord

_NO_ANSWER: Final = -1


def _good(status: int) -> bool:
    """Return whether a status is of the class 2xx."""
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's own class


class Request(NamedTuple):
    """One measured request; the fields are those of `RequestRecord`."""

    operation: str
    sent: float
    duration: float
    status: int | None


class _Columns:
    """The requests of one operation in one case."""

    __slots__ = ("durations", "sent", "statuses")

    def __init__(self) -> None:
        self.sent = array("d")
        self.durations = array("d")
        self.statuses = array("h")


class Requests:
    """The measured requests; warm-up is left out."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str, str], _Columns] = {}

    def __bool__(self) -> bool:
        return bool(self._columns)

    @classmethod
    def of(cls, records: Iterable[RequestRecord]) -> Self:
        """Return the columns of records, which are read once."""
        found = cls()
        puts: dict[tuple[str, str, str], tuple[Callable[[float], None], Callable[[float], None], Callable[[int], None]]]
        puts = {}  # bound once for each column: a large run has millions of requests
        for record in records:
            if record.warmup:
                continue
            key = record.scenario, record.case, record.operation
            put = puts.get(key)
            if put is None:
                one = found._columns[key] = _Columns()
                put = puts[key] = one.sent.append, one.durations.append, one.statuses.append
            put_sent, put_duration, put_status = put
            put_sent(record.sent)
            put_duration(record.duration)
            status = record.status
            put_status(_NO_ANSWER if status is None else status)
        return found

    def durations(self, scenario: str, operation: str) -> list[float]:
        """Return the durations of the requests that succeeded, in seconds, in the order of the file.

        A refusal is often faster than an answer, so failed requests are no sample of the latency.
        """
        found: list[float] = []
        for (name, _, kind), one in self._columns.items():
            if (name, kind) == (scenario, operation):
                found.extend(
                    length for length, status in zip(one.durations, one.statuses, strict=True) if _good(status)
                )
        return found

    def failures(self, scenario: str, operation: str) -> Counter[int | None]:
        """Return how often an operation failed in a scenario, by status; None: no answer."""
        statuses = self.statuses(scenario, operation)
        return Counter({status: number for status, number in statuses.items() if not _good(status or _NO_ANSWER)})

    def succeeded(self, operation: str) -> int:
        """Return the number of requests of an operation in the whole run that were answered with 2xx."""
        return sum(sum(map(_good, one.statuses)) for (*_, kind), one in self._columns.items() if kind == operation)

    def count(self, scenario: str, case: str) -> int:
        """Return the number of requests of a case."""
        return sum(len(one.sent) for _, one in self._case(scenario, case))

    def ends(self, scenario: str, case: str) -> array[float]:
        """Return when the requests of a case ended, by operation."""
        found = array("d")
        for _, one in self._case(scenario, case):
            found.extend(map(add, one.sent, one.durations))
        return found

    def of_case(self, scenario: str, case: str) -> list[Request]:
        """Return the requests of a case, by operation."""
        return [
            Request(operation, sent, duration, None if status == _NO_ANSWER else status)
            for operation, one in self._case(scenario, case)
            for sent, duration, status in zip(one.sent, one.durations, one.statuses, strict=True)
        ]

    def statuses(self, scenario: str, operation: str, case: str | None = None) -> Counter[int | None]:
        """Return how often an operation got each status in a scenario, or in one case of it; None: no answer."""
        found: Counter[int | None] = Counter()
        for (name, place, kind), one in self._columns.items():
            if (name, kind) == (scenario, operation) and case in {None, place}:
                found.update(None if status == _NO_ANSWER else status for status in one.statuses)
        return found

    def _case(self, scenario: str, case: str) -> Iterator[tuple[str, _Columns]]:
        return ((kind, one) for (name, place, kind), one in self._columns.items() if (name, place) == (scenario, case))
