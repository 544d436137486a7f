"""A histogram with fixed attributes: a bound instrument, which OpenTelemetry's SDK for Python lacks."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Final

from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation

from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.telemetry.bound import Measurement, find_aggregations

MOST_WAITING: Final = 10_000
"""Values that wait for a collection at most; more are handed to the SDK at once."""

_Waiting = tuple[float, float, JobTrace]
"""A value, its Unix time in seconds, and the trace for an exemplar."""


class BoundHistogram:
    """A histogram whose values wait for the next collection and are then handed to the SDK all at once.

    The SDK cleans, sorts and hashes the attributes of every measurement, and looks for the bucket of its exemplar among
    all buckets one by one, which costs many times the measurement itself. A bound histogram keeps a value in a queue.
    At a collection the queue is written to the aggregations of the SDK, with the last value of each bucket as its
    exemplar, as the SDK would have kept it. The aggregations are internals of the SDK: where they are not as expected,
    or do not outlive a collection (delta temporality), all measurements take the public way.
    """

    __slots__ = ("_aggregations", "_attributes", "_filter", "_histogram", "_instrument", "_lock", "_waiting")

    def __init__(self, histogram: Histogram, attributes: Mapping[str, str]) -> None:
        self._histogram = histogram
        self._instrument: Any = histogram  # as the SDK knows it
        self._attributes = attributes
        self._aggregations: list[Any] | None = None
        self._filter: Any = None
        self._waiting: deque[_Waiting] = deque()
        self._lock = Lock()
        """Held by the thread that empties the queue: two readers may collect at the same time."""

    @property
    def bound(self) -> bool:
        """Whether measurements take the short way."""
        return bool(self._aggregations)

    def record(self, value: float, at: float, trace: JobTrace) -> None:
        """Record a value of 0 or more at a Unix time; the trace is for exemplars."""
        if self._aggregations:
            self._waiting.append((value, at, trace))
            if len(self._waiting) >= MOST_WAITING:
                self.flush()
            return
        self._histogram.record(value, self._attributes, trace.context)
        if self._aggregations is None:
            self._filter, self._aggregations = find_aggregations(self._instrument, self._attributes)

    def flush(self) -> None:
        """Hand the waiting values to the SDK, in the order of their recording."""
        with self._lock:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not waiting:
                return
            for aggregation in self._aggregations or ():
                if type(aggregation) is _ExplicitBucketHistogramAggregation:
                    self._add(aggregation, waiting)
                else:
                    for one in waiting:
                        aggregation.aggregate(*self._measured(one))

    def _add(self, aggregation: Any, waiting: Sequence[_Waiting]) -> None:
        """Add values to a histogram with fixed buckets: what its method `aggregate` does, for many values."""
        values = [value for value, _, _ in waiting[:-1]]
        last: dict[int, _Waiting] = {}
        bounds = aggregation._boundaries  # noqa: SLF001
        # The last value takes the method of the SDK, which makes the counts if there are none.
        aggregation.aggregate(*self._measured(waiting[-1]))
        with aggregation._lock:  # noqa: SLF001
            counts = aggregation._value  # noqa: SLF001
            for one in waiting[:-1]:
                bucket = bisect_left(bounds, one[0])
                counts[bucket] += 1
                last[bucket] = one
            for value in values:  # one by one: the order of additions decides the last bit
                aggregation._sum += value  # noqa: SLF001
            if values and aggregation._record_min_max:  # noqa: SLF001
                aggregation._min = min(aggregation._min, *values)  # noqa: SLF001
                aggregation._max = max(aggregation._max, *values)  # noqa: SLF001
        last.pop(bisect_left(bounds, waiting[-1][0]), None)
        for one in last.values():
            aggregation._sample_exemplar(*self._measured(one))  # noqa: SLF001

    def _measured(self, one: _Waiting) -> tuple[Measurement, bool]:
        """Return a waiting value as the SDK takes it, and whether it becomes an exemplar."""
        value, at, trace = one
        context, time_unix_nano = trace.context, int(at * 1e9)
        sampled: bool = self._filter.should_sample(value, time_unix_nano, self._attributes, context)
        # Only exemplars look at the attributes.
        attributes = self._attributes if sampled else None
        return Measurement(value, time_unix_nano, self._instrument, context, attributes), sampled
