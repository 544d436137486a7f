"""Bound instruments: the attributes of a series are cleaned and hashed once, not at each measurement.

OpenTelemetry's SDK for Python lacks them. Its public way takes ten times the CPU time of a bound one, and a job has
some two hundred measurements in the service and its providers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import Counter, Histogram, UpDownCounter

Instrument = Counter | Histogram | UpDownCounter
_Value = str | int | None
_LARGEST = sys.float_info.max


class _Record(Protocol):
    """The public way to measure: `Counter.add`, `UpDownCounter.add` or `Histogram.record`."""

    def __call__(self, value: float, attributes: Mapping[str, Any], context: Context | None, /) -> None:
        """Measure `value`."""


class Measurement(msgspec.Struct):
    """The SDK's record of that name, without cleaning of the attributes."""

    value: float
    time_unix_nano: int = 0
    instrument: Any = None
    context: Context | None = None
    attributes: Mapping[str, Any] | None = None


class BoundInstrument:
    """One series of an instrument.

    The first measurement takes the public way; the later ones go to the aggregations that it created. The aggregations
    are internals of the SDK: where they are not as expected, or do not outlive a collection (delta temporality), all
    measurements take the public way, as values do that the SDK refuses.
    """

    __slots__ = (
        "_aggregations",
        "_attributes",
        "_consumer",
        "_filter",
        "_instrument",
        "_lowest",
        "_readers",
        "_record",
        "_sampled",
        "_unbindable",
    )

    def __init__(self, instrument: Instrument, attributes: Mapping[str, Any]) -> None:
        self._instrument: Any = instrument  # as the SDK knows it
        self._record: _Record = instrument.record if isinstance(instrument, Histogram) else instrument.add
        self._lowest = -_LARGEST if isinstance(instrument, UpDownCounter) else 0.0
        self._attributes = attributes
        self._aggregations: list[Any] | None = None
        self._unbindable = False
        self._consumer: Any = None
        self._readers: Any = None
        self._filter: Any = None
        self._sampled = False

    @property
    def bound(self) -> bool:
        """Whether measurements take the short way."""
        return self._aggregations is not None

    def record(self, value: float, context: Context | None = None) -> None:
        """Add or record a value; `context` is for exemplars, the current one by default."""
        aggregations = self._aggregations
        if (
            aggregations is None
            or self._consumer._reader_storages is not self._readers  # noqa: SLF001 - another mapping for other readers
            or not self._lowest <= value <= _LARGEST
        ):
            self._record(value, self._attributes, context)
            if not self._unbindable:
                self._bind()
            return
        if self._sampled:
            now, place = time.time_ns(), get_current() if context is None else context
            sample = self._filter.should_sample(value, now, self._attributes, place)
            # Only exemplars look at the attributes.
            measurement = Measurement(value, now, self._instrument, place, self._attributes if sample else None)
        else:
            sample, measurement = False, Measurement(value)
        for aggregation in aggregations:
            aggregation.aggregate(measurement, sample)

    def remove(self) -> None:
        """Remove the series from all readers; a later measurement begins it again at zero."""
        self._aggregations = None
        remove_aggregations(self._instrument, self._attributes)

    def _bind(self) -> None:
        consumer = getattr(self._instrument, "_measurement_consumer", None)
        readers = getattr(consumer, "_reader_storages", None)
        filtered, found = find_aggregations(self._instrument, self._attributes)
        if filtered is None:
            self._unbindable, self._aggregations = True, None
            return
        from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter  # noqa: PLC0415 - the SDK is loaded by now

        self._filter, self._sampled = filtered, not isinstance(filtered, AlwaysOffExemplarFilter)
        self._aggregations, self._consumer, self._readers = found, consumer, readers


def find_aggregations(instrument: Any, attributes: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """Return the filter of exemplars and the aggregations of a series that was measured before.

    Without reliable aggregations the filter is None and the list empty: a reader with delta temporality, a view that
    drops attributes, another release of the SDK, or the no-op API. Without a reader only the list is empty.
    """
    found = []
    try:
        # Imported here, so that a process without telemetry does not load the SDK.
        consumer: Any = instrument._measurement_consumer  # noqa: SLF001
        from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes  # noqa: PLC0415

        filtered = consumer._sdk_config.exemplar_filter  # noqa: SLF001
        for reader in consumer._reader_storages.values():  # noqa: SLF001
            for match in reader._get_or_init_view_instrument_match(instrument):  # noqa: SLF001
                if match._reset_on_collect or match._view._attribute_keys is not None:  # noqa: SLF001
                    return None, []
                found.append(match._attributes_aggregation[_hash_attributes(attributes)])  # noqa: SLF001
    except (AttributeError, ImportError, KeyError):
        return None, []
    return filtered, found


def remove_aggregations(instrument: Any, attributes: Mapping[str, Any]) -> None:
    """Remove a series from all readers; nothing happens where the internals of the SDK are not as expected."""
    try:
        consumer: Any = instrument._measurement_consumer  # noqa: SLF001
        from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes  # noqa: PLC0415

        key = _hash_attributes(attributes)
        for reader in consumer._reader_storages.values():  # noqa: SLF001
            for match in reader._get_or_init_view_instrument_match(instrument):  # noqa: SLF001
                with match._lock:  # noqa: SLF001 - a collection goes over the series
                    match._attributes_aggregation.pop(key, None)  # noqa: SLF001
    except (AttributeError, ImportError):
        return


class Series:
    """The series of one instrument, by the values of its attributes."""

    __slots__ = ("_bound", "_instrument", "keys")

    def __init__(self, instrument: Instrument, *keys: str) -> None:
        self._instrument = instrument
        self.keys = keys
        """Names of the attributes."""
        self._bound: dict[tuple[_Value, ...], BoundInstrument] = {}

    def record(self, value: float, *values: _Value, context: Context | None = None) -> None:
        """Add or record `value`; `values` are those of the keys in their order, None for an absent attribute."""
        self.at(values).record(value, context)

    def at(self, values: tuple[_Value, ...]) -> BoundInstrument:
        """Return the series with these values of the keys."""
        found = self._bound.get(values)
        if found is None:
            attributes = {key: value for key, value in zip(self.keys, values, strict=True) if value is not None}
            found = self._bound[values] = BoundInstrument(self._instrument, attributes)
        return found

    def remove(self, over: Callable[[tuple[_Value, ...]], bool]) -> None:
        """Remove the series of whose values `over` returns true."""
        # Copied in one step, because another thread may add a series meanwhile.
        for values in [values for values in list(self._bound) if over(values)]:
            self._bound.pop(values).remove()
