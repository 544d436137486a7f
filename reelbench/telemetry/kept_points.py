"""Data points that OpenTelemetry's SDK makes once: a series without a new measurement keeps its point.

The SDK makes a new data point of each series at each collection. Most series of a long run belong to cases that ended.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from opentelemetry.sdk.metrics.view import DefaultAggregation


class KeptPoints(DefaultAggregation):
    """The default aggregations of counters and histograms, for a reader with cumulative temporality.

    A kept point has the time of the collection that made it. Observable instruments get the SDK's own aggregations,
    because their callbacks measure every series anew. The classes are subclasses of the SDK's, so the SDK does not warn
    of a view whose explicit aggregation conflicts with one of these.
    """

    def _create_aggregation(self, *args: Any, **kwargs: Any) -> Any:
        made = super()._create_aggregation(*args, **kwargs)
        if "_value" not in getattr(made, "__dict__", {}):  # another release of the SDK
            return made
        kept: Any = object.__new__(_keeping(type(made)))
        vars(kept).update(vars(made))
        return kept


class _Keeping:
    """What an aggregation does before its own `collect`."""

    _point: Any = None
    _value: Any

    def collect(self, *args: Any, **kwargs: Any) -> Any:
        """Return the point of the collection before unless something was measured since then."""
        # The SDK moves what was measured since the last collection out of `_value` at each collection.
        if self._point is not None and self._value is None:
            return self._point
        self._point = super().collect(*args, **kwargs)  # type: ignore[misc]
        return self._point


@cache
def _keeping(kind: type) -> type:
    return type(kind.__name__, (_Keeping, kind), {})
