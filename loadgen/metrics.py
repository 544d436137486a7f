"""The instruments of the load generator, as ``metrics.yaml`` declares them, and what is recorded with them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter, Observation
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes

from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("metrics.yaml")


class Metrics:
    """Records what the load generator measures; values are those of the records, to the last bit."""

    def __init__(self, meter: Meter, *, slow: bool = False) -> None:
        """Create the instruments; `slow` takes the buckets for servers of other makers, whose jobs can last hours."""
        made = Instruments(meter, METRICS_FILE)
        # Read at each collection: an addition of the SDK costs twenty times one of a dictionary.
        self._ended: Counter[tuple[str, ...]] = Counter()
        self._flying = 0
        self._bound: dict[tuple[Histogram, tuple[str, ...]], BoundHistogram] = {}
        made.observe(
            "loadgen.jobs",
            lambda: (Observation(count, _attributes(key)) for key, count in dict(self._ended).items()),
        )
        self._duration = made.histogram("loadgen.job.duration", slow=slow)
        self._lateness = made.histogram("loadgen.job.lateness")
        self._request = made.histogram("loadgen.request.duration", slow=slow)
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


class _Measurement(msgspec.Struct):
    """The SDK's record of that name, without cleaning of the attributes."""

    value: float
    time_unix_nano: int
    instrument: Any
    context: Context
    attributes: Mapping[str, str] | None


class BoundHistogram:
    """A histogram with fixed attributes: a bound instrument, which OpenTelemetry's SDK for Python lacks.

    The SDK cleans, sorts and hashes the attributes of every measurement, which costs three times the measurement
    itself. A bound histogram does this once and then writes to the aggregations of the SDK. The aggregations are
    internals of the SDK: where they are not as expected, or do not outlive a collection (delta temporality), all
    measurements take the public way.
    """

    __slots__ = ("_aggregations", "_attributes", "_filter", "_histogram", "_instrument")

    def __init__(self, histogram: Histogram, attributes: Mapping[str, str]) -> None:
        self._histogram = histogram
        self._instrument: Any = histogram  # as the SDK knows it
        self._attributes = attributes
        self._aggregations: list[Any] | None = None
        self._filter: Any = None

    @property
    def bound(self) -> bool:
        """Whether measurements take the short way."""
        return bool(self._aggregations)

    def record(self, value: float, context: Context) -> None:
        """Record a value of 0 or more; `context` is for exemplars."""
        if not self._aggregations:
            self._histogram.record(value, self._attributes, context)
            if self._aggregations is None:
                self._bind()
            return
        now = time.time_ns()
        sample = self._filter.should_sample(value, now, self._attributes, context)
        # Only exemplars look at the attributes.
        measurement = _Measurement(value, now, self._instrument, context, self._attributes if sample else None)
        for aggregation in self._aggregations:
            aggregation.aggregate(measurement, sample)

    def _bind(self) -> None:
        """Find the aggregations of the first measurement; without reliable ones, the list stays empty."""
        self._aggregations = []
        found = []
        try:
            consumer: Any = self._instrument._measurement_consumer  # noqa: SLF001
            self._filter = consumer._sdk_config.exemplar_filter  # noqa: SLF001
            for reader in consumer._reader_storages.values():  # noqa: SLF001
                for match in reader._get_or_init_view_instrument_match(self._histogram):  # noqa: SLF001
                    if match._reset_on_collect or match._view._attribute_keys is not None:  # noqa: SLF001
                        return
                    found.append(match._attributes_aggregation[_hash_attributes(self._attributes)])  # noqa: SLF001
        except (AttributeError, KeyError):  # another release of the SDK, or the no-op API
            return
        self._aggregations = found
