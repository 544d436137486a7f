"""The instruments of the load generator, as ``metrics.yaml`` declares them, and what is recorded with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from opentelemetry.context import Context
from opentelemetry.metrics import Meter, Observation

from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.telemetry.bound import Series
from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("metrics.yaml")
_PLACE = ("run_id", "scenario", "case")
_ENDED = (*_PLACE, "outcome")


class Metrics:
    """Records what the load generator measures; values are those of the records, to the last bit."""

    def __init__(self, meter: Meter, *, slow: bool = False) -> None:
        """Create the instruments; `slow` takes the buckets for servers of other makers, whose jobs can last hours."""
        made = Instruments(meter, METRICS_FILE)
        # Read at each collection: an addition of the SDK costs twenty times one of a dictionary.
        self._ended: Counter[tuple[str, ...]] = Counter()
        self._flying = 0
        made.observe(
            "loadgen.jobs",
            lambda: (
                Observation(count, dict(zip(_ENDED, key, strict=True))) for key, count in dict(self._ended).items()
            ),
        )
        self._duration = Series(made.histogram("loadgen.job.duration", slow=slow), *_ENDED)
        self._lateness = Series(made.histogram("loadgen.job.lateness"), *_PLACE)
        self._request = Series(made.histogram("loadgen.request.duration", slow=slow), *_ENDED, "operation")
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
        self._duration.record(job.done - job.due, *outcome, context=context)
        self._lateness.record(max(0.0, job.sent - job.due), *place, context=context)

    def request_ended(self, run_id: str, request: RequestRecord, context: Context) -> None:
        """Record one request; its outcome is ok for a status of 2xx, else error."""
        if request.warmup:
            return
        outcome = "ok" if request.status is not None and 200 <= request.status < 300 else "error"  # noqa: PLR2004 - HTTP's own classes
        key = (run_id, request.scenario, request.case, outcome, request.operation)
        self._request.record(request.duration, *key, context=context)
