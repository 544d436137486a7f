"""One series of a histogram, bound to its attributes: a bound instrument, which OpenTelemetry's SDK for Python lacks.

The SDK cleans, sorts and hashes the attributes of every measurement, which costs three times the measurement itself.
A bound histogram does this once and then writes to the aggregations of the SDK. The aggregations are internals of the
SDK: where they are not as expected, or do not outlive a collection (delta temporality), all measurements take the
public way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes


class _Measurement(msgspec.Struct):
    """The SDK's record of that name, without cleaning of the attributes."""

    value: float
    time_unix_nano: int
    instrument: Any
    context: Context
    attributes: Mapping[str, str] | None


class BoundHistogram:
    """A histogram with fixed attributes."""

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
