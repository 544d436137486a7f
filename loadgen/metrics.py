"""The instruments of the load generator, as ``metrics.yaml`` declares them, and what is recorded with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from opentelemetry.metrics import Histogram, Meter, Observation

from reelbench.loadgen.bound_histogram import BoundHistogram
from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.telemetry.registry import Instruments

_Key = tuple[str, ...]
"""Values of attributes; an outcome may be of its enumeration, whose members are texts."""

METRICS_FILE = Path(__file__).with_name("metrics.yaml")
_PLACE = ("run_id", "scenario", "case")
_ENDED = (*_PLACE, "outcome")


class Metrics:
    """Records what the load generator measures; values are those of the records, to the last bit."""

    def __init__(self, meter: Meter, *, slow: bool = False) -> None:
        """Create the instruments; `slow` takes the buckets for servers of other makers, whose jobs can last hours."""
        made = Instruments(meter, METRICS_FILE)
        # Read at each collection: an addition of the SDK costs twenty times one of a dictionary.
        self._ended: Counter[_Key] = Counter()
        self._flying = 0
        self._durations: dict[_Key, BoundHistogram] = {}
        self._latenesses: dict[_Key, BoundHistogram] = {}
        self._requests: dict[_Key, BoundHistogram] = {}
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
        if job.warmup:
            return
        outcome = (run_id, job.scenario, job.case, job.outcome)
        self._ended[outcome] += 1
        duration = self._durations.get(outcome) or self._bind(self._durations, self._duration, outcome)
        duration.record(job.done - job.due, job.done, trace)
        place = (run_id, job.scenario, job.case)
        lateness = self._latenesses.get(place) or self._bind(self._latenesses, self._lateness, place)
        lateness.record(max(0.0, job.sent - job.due), job.done, trace)

    def request_ended(self, run_id: str, request: RequestRecord, trace: JobTrace) -> None:
        """Record one request; its outcome is ok for a status of 2xx, else error."""
        if request.warmup:
            return
        outcome = "ok" if request.status is not None and 200 <= request.status < 300 else "error"  # noqa: PLR2004 - HTTP's own classes
        key = (run_id, request.scenario, request.case, outcome, request.operation)
        series = self._requests.get(key) or self._bind(self._requests, self._request, key)
        series.record(request.duration, request.sent + request.duration, trace)

    def _counts(self) -> list[Observation]:
        """Return the counts of ended jobs; a collection asks for them first, so the histograms are complete by then."""
        for bound in (self._durations, self._latenesses, self._requests):
            for series in list(bound.values()):
                series.flush()
        return [Observation(count, _attributes(key)) for key, count in dict(self._ended).items()]

    @staticmethod
    def _bind(bound: dict[_Key, BoundHistogram], histogram: Histogram, key: _Key) -> BoundHistogram:
        made = bound[key] = BoundHistogram(histogram, _attributes(key))
        return made


def _attributes(key: _Key) -> dict[str, str]:
    """Attributes, of which as many are given as the key has."""
    return dict(zip(("run_id", "scenario", "case", "outcome", "operation"), map(str, key), strict=False))
