"""The instruments of the load generator, as ``metrics.yaml`` declares them, and what is recorded with them."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from opentelemetry.metrics import Histogram, Meter, Observation

from reelbench.loadgen.bound_histogram import BoundHistogram, Measured
from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.telemetry.registry import Instruments

_Key = tuple[str, ...]
"""Values of attributes; an outcome may be of its enumeration, whose members are texts."""

T = TypeVar("T")

_OK: Final = 200
MOST_WAITING: Final = 256
"""Jobs, and requests, that wait to be recorded together: more of them would leave the cache of the processor."""
METRICS_FILE = Path(__file__).with_name("metrics.yaml")


class Metrics:
    """Records what the load generator measures; values are those of the records, to the last bit."""

    def __init__(self, meter: Meter, *, slow: bool = False) -> None:
        """Create the instruments; `slow` takes the buckets for servers of other makers, whose jobs can last hours."""
        made = Instruments(meter, METRICS_FILE)
        # Read at each collection: an addition of the SDK costs twenty times one of a dictionary.
        self._ended: Counter[_Key] = Counter()
        self._flying = 0
        self._bound: dict[tuple[Histogram, _Key], BoundHistogram] = {}
        self._waiting_jobs: deque[tuple[str, JobRecord, JobTrace]] = deque()
        self._waiting_requests: deque[tuple[str, RequestRecord, JobTrace]] = deque()
        self._settling = Lock()
        """Held while what waits is recorded: readers collect in threads of their own."""
        made.observe("loadgen.jobs", self._counts)
        self._duration = made.histogram("loadgen.job.duration", slow=slow)
        self._lateness = made.histogram("loadgen.job.lateness")
        self._request = made.histogram("loadgen.request.duration", slow=slow)
        made.observe("loadgen.jobs.in_flight", lambda: [Observation(self._flying)])

    def job_started(self) -> None:
        """Count a job in flight."""
        self._flying += 1

    def job_ended(self, run_id: str, job: JobRecord, trace: JobTrace) -> None:
        """Count an ended job; its trace is for exemplars."""
        self._flying -= 1
        if not job.warmup:
            self._waiting_jobs.append((run_id, job, trace))
            if len(self._waiting_jobs) >= MOST_WAITING:
                self._settle_unless_collected()

    def request_ended(self, run_id: str, request: RequestRecord, trace: JobTrace) -> None:
        """Record one request; its outcome is ok for a status of 2xx, else error."""
        if not request.warmup:
            self._waiting_requests.append((run_id, request, trace))
            if len(self._waiting_requests) >= MOST_WAITING:
                self._settle_unless_collected()

    def _counts(self) -> list[Observation]:
        """Return the counts of ended jobs; a collection asks for them first, so the histograms are complete by then."""
        with self._settling:
            self._settle()
            for series in self._bound.values():
                series.mark()
            return [Observation(count, _attributes(key)) for key, count in self._ended.items()]

    def _settle_unless_collected(self) -> None:
        """Record what waits; during a collection it goes on waiting, as the load must not wait for the collection."""
        if self._settling.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._settling.release()

    def _settle(self) -> None:
        """Record what waits, series by series: it is less work at once than at the end of each request."""
        durations, latenesses, requests = (defaultdict[_Key, list[Measured]](list) for _ in range(3))
        for run_id, job, trace in _taken(self._waiting_jobs):
            place = (run_id, job.scenario, job.case)
            ended = (*place, job.outcome)
            self._ended[ended] += 1
            durations[ended].append((job.done - job.due, job.done, trace))
            latenesses[place].append((max(0.0, job.sent - job.due), job.done, trace))
        for run_id, request, trace in _taken(self._waiting_requests):
            status, duration = request.status, request.duration
            ok = status == _OK or (status is not None and 200 <= status < 300)  # noqa: PLR2004 - HTTP's own classes
            key = (run_id, request.scenario, request.case, "ok" if ok else "error", request.operation)
            requests[key].append((duration, request.sent + duration, trace))
        for histogram, found in (
            (self._duration, durations),
            (self._lateness, latenesses),
            (self._request, requests),
        ):
            for values, measured in found.items():
                self._series(histogram, values).record(measured)

    def _series(self, histogram: Histogram, key: _Key) -> BoundHistogram:
        known = self._bound.get((histogram, key))
        if known is None:
            known = self._bound[histogram, key] = BoundHistogram(histogram, _attributes(key))
        return known


def _taken(waiting: deque[T]) -> list[T]:
    """Return what waits, in its order; other threads may add to it."""
    return [waiting.popleft() for _ in range(len(waiting))]


def _attributes(key: _Key) -> dict[str, str]:
    """Attributes, of which as many are given as the key has."""
    return dict(zip(("run_id", "scenario", "case", "outcome", "operation"), map(str, key), strict=False))
