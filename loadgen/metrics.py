"""The instruments of the load generator, as ``metrics.yaml`` declares them, and what is recorded with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter, Observation

from reelbench.loadgen.bound_histogram import BoundHistogram
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("metrics.yaml")


class Metrics:
    """Records what the load generator measures; values are those of the records, to the last bit."""

    def __init__(self, meter: Meter) -> None:
        made = Instruments(meter, METRICS_FILE)
        # Read at each collection: an addition of the SDK costs twenty times one of a dictionary.
        self._ended: Counter[tuple[str, ...]] = Counter()
        self._flying = 0
        self._bound: dict[tuple[Histogram, tuple[str, ...]], BoundHistogram] = {}
        made.observe(
            "loadgen.jobs",
            lambda: (Observation(count, _attributes(key)) for key, count in dict(self._ended).items()),
        )
        self._duration = made.histogram("loadgen.job.duration")
        self._lateness = made.histogram("loadgen.job.lateness")
        self._request = made.histogram("loadgen.request.duration")
        made.observe("loadgen.jobs.in_flight", lambda: [Observation(self._flying)])

    def job_started(self) -> None:
        """Count a job in flight."""
        self._flying += 1

    def job_ended(self, run_id: str, job: JobRecord, context: Context) -> None:
        """Count an ended job; `context` holds its root span, for exemplars."""
        self._flying -= 1
        if job.warmup:
            return
        place = (run_id, job.scenario, job.case)
        outcome = (*place, job.outcome.value)
        self._ended[outcome] += 1
        self._series(self._duration, outcome).record(job.done - job.due, context)
        self._series(self._lateness, place).record(max(0.0, job.sent - job.due), context)

    def request_ended(self, run_id: str, request: RequestRecord, context: Context) -> None:
        """Record one request; its outcome is ok for a status of 2xx, else error."""
        if request.warmup:
            return
        outcome = "ok" if request.status is not None and 200 <= request.status < 300 else "error"  # noqa: PLR2004 - HTTP's own classes
        key = (run_id, request.scenario, request.case, outcome, request.operation)
        self._series(self._request, key).record(request.duration, context)

    def _series(self, histogram: Histogram, key: tuple[str, ...]) -> BoundHistogram:
        found = self._bound.get((histogram, key))
        if found is None:
            found = self._bound[histogram, key] = BoundHistogram(histogram, _attributes(key))
        return found


def _attributes(key: tuple[str, ...]) -> dict[str, str]:
    """Attributes, of which as many are given as the key has."""
    return dict(zip(("run_id", "scenario", "case", "outcome", "operation"), key, strict=False))
