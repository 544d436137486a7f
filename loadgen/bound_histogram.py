"""A histogram with fixed attributes: a bound instrument, which OpenTelemetry's SDK for Python lacks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation

from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.telemetry.bound import Measurement, find_aggregations

_ADDS: Final = _ExplicitBucketHistogramAggregation.aggregate
"""What `BoundHistogram._add` does for many values."""
Measured = tuple[float, float, JobTrace]
"""A value, its Unix time in seconds, and the trace for an exemplar."""


class BoundHistogram:
    """A histogram whose values are handed to the SDK many at once.

    The SDK cleans, sorts and hashes the attributes of every measurement, and looks for the bucket of its exemplar among
    all buckets one by one, which costs many times the measurement itself. A bound histogram writes values to the
    aggregations of the SDK. The last value of each bucket becomes its exemplar at a collection, as the SDK would have
    kept it. The aggregations are internals of the SDK: where they are not as expected, or do not outlive a collection
    (delta temporality), all measurements take the public way.
    """

    __slots__ = ("_aggregations", "_attributes", "_filter", "_histogram", "_instrument", "_last")

    def __init__(self, histogram: Histogram, attributes: Mapping[str, str]) -> None:
        self._histogram = histogram
        self._instrument: Any = histogram  # as the SDK knows it
        self._attributes = attributes
        self._aggregations: list[Any] | None = None
        self._filter: Any = None
        self._last: list[tuple[Any, dict[int, Measured]]] = []
        """Aggregation and, by bucket, its last value since the last collection."""

    @property
    def bound(self) -> bool:
        """Whether measurements take the short way."""
        return bool(self._aggregations)

    def record(self, measured: Sequence[Measured]) -> None:
        """Record values of 0 or more, in the order of their measurement; one thread at a time."""
        if measured and self._aggregations is None:
            value, _, trace = measured[0]
            self._histogram.record(value, self._attributes, trace.context)
            self._filter, self._aggregations = find_aggregations(self._instrument, self._attributes)
            measured = measured[1:]
        if not self._aggregations:
            for value, _, trace in measured:
                self._histogram.record(value, self._attributes, trace.context)
        elif measured:
            for aggregation in self._aggregations:
                if type(aggregation).aggregate is _ADDS:
                    self._add(aggregation, measured)
                else:
                    for one in measured:
                        aggregation.aggregate(*self._measured(one))

    def mark(self) -> None:
        """Make the last value of each bucket its exemplar; called before each collection."""
        for aggregation, last in self._last:
            for one in last.values():
                aggregation._sample_exemplar(*self._measured(one))  # noqa: SLF001
            last.clear()

    def _add(self, aggregation: Any, measured: Sequence[Measured]) -> None:
        """Add values to a histogram with fixed buckets: what its method `aggregate` does, for many values."""
        last = self._last_of(aggregation)
        bounds = aggregation._boundaries  # noqa: SLF001
        # The first value takes the method of the SDK, which makes the counts if there are none.
        aggregation.aggregate(Measurement(measured[0][0]), False)  # noqa: FBT003 - the SDK's own order
        last[bisect_left(bounds, measured[0][0])] = measured[0]
        values = [value for value, _, _ in measured[1:]]
        with aggregation._lock:  # noqa: SLF001
            counts = aggregation._value  # noqa: SLF001
            for one in measured[1:]:
                bucket = bisect_left(bounds, one[0])
                counts[bucket] += 1
                last[bucket] = one
            for value in values:  # one by one: the order of additions decides the last bit
                aggregation._sum += value  # noqa: SLF001
            if values and aggregation._record_min_max:  # noqa: SLF001
                aggregation._min = min(aggregation._min, *values)  # noqa: SLF001
                aggregation._max = max(aggregation._max, *values)  # noqa: SLF001

    def _last_of(self, aggregation: Any) -> dict[int, Measured]:
        """Return the last values of the buckets of an aggregation since the last collection."""
        for known, last in self._last:
            if known is aggregation:
                return last
        self._last.append((aggregation, {}))
        return self._last[-1][1]

    def _measured(self, one: Measured) -> tuple[Measurement, bool]:
        """Return a waiting value as the SDK takes it, and whether it becomes an exemplar."""
        value, at, trace = one
        context, time_unix_nano = trace.context, int(at * 1e9)
        sampled: bool = self._filter.should_sample(value, time_unix_nano, self._attributes, context)
        # Only exemplars look at the attributes.
        attributes = self._attributes if sampled else None
        return Measurement(value, time_unix_nano, self._instrument, context, attributes), sampled
