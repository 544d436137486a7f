"""Metrics declared as data: reads files in the schema of OpenTelemetry's semantic-convention registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation, UpDownCounter

InstrumentKind = Literal["counter", "gauge", "histogram", "updowncounter"]


class Attribute(msgspec.Struct, frozen=True):
    """One attribute of a metric."""

    name: str
    brief: str
    values: tuple[str, ...]
    """All values that occur; empty: the values are not known in advance."""
    required: bool
    """False: only some measurements have it, such as the type of an error."""


class Metric(msgspec.Struct, frozen=True):
    """One declared metric."""

    name: str
    brief: str
    instrument: InstrumentKind
    unit: str
    """A unit of UCUM; annotations in braces."""
    attributes: tuple[Attribute, ...]
    bounds: tuple[int | float, ...] = ()
    """Upper bounds of the classic buckets, without infinity; written to /metrics as they are here, 1 or 1.0."""
    slow_bounds: tuple[int | float, ...] = ()
    """Upper bounds of the classic buckets in runs against a server of another maker; empty: as `bounds`."""
    components: tuple[str, ...] = ()
    """Processes that record it, where the file is not that of one component."""


class Instruments:
    """Creates the instruments of one component as its file declares them."""

    def __init__(self, meter: Meter, path: Path) -> None:
        self._meter = meter
        self._declared = {metric.name: metric for metric in read(path)}
        self._before: list[Callable[[], None]] = []

    def counter(self, name: str) -> Counter:
        """Create a counter."""
        metric = self._get(name, "counter")
        return self._meter.create_counter(name, metric.unit, metric.brief)

    def up_down_counter(self, name: str) -> UpDownCounter:
        """Create a counter whose value also falls."""
        metric = self._get(name, "updowncounter")
        return self._meter.create_up_down_counter(name, metric.unit, metric.brief)

    def histogram(self, name: str, *, slow: bool = False) -> Histogram:
        """Create a histogram with the declared buckets; `slow` takes those for servers of other makers."""
        metric = self._get(name, "histogram")
        bounds = (metric.slow_bounds if slow else ()) or metric.bounds
        return self._meter.create_histogram(
            name, metric.unit, metric.brief, explicit_bucket_boundaries_advisory=bounds or None
        )

    def observe(self, name: str, read_values: Callable[[], Iterable[Observation]]) -> None:
        """Create a counter, up or also down, whose values are read at each collection."""
        metric = self._get(name, "counter", "updowncounter")

        def callback(_: CallbackOptions) -> Iterable[Observation]:
            return read_values()

        create = (
            self._meter.create_observable_counter
            if metric.instrument == "counter"
            else self._meter.create_observable_up_down_counter
        )
        create(name, [callback], metric.unit, metric.brief)

    def before_collection(self, call: Callable[[], None]) -> None:
        """Call a function before each collection of a reader.

        The SDK reads observable instruments first, and does not export one that observed nothing.
        """
        if not self._before:
            self._meter.create_observable_gauge("before_collection", [self._call_all])
        self._before.append(call)

    def _call_all(self, _: CallbackOptions) -> Iterable[Observation]:
        for call in self._before:
            call()
        return ()

    def _get(self, name: str, *kinds: InstrumentKind) -> Metric:
        metric = self._declared[name]
        assert metric.instrument in kinds, f"{name} is declared as {metric.instrument}, not as {kinds}"
        return metric


@cache
def read(path: Path) -> tuple[Metric, ...]:
    """Return the metrics of a registry file, with references resolved, in the order of the file; it is read once.

    Raises:
        KeyError: A reference has no definition in the file.
        msgspec.ValidationError: The file does not have the schema.
    """
    groups = msgspec.yaml.decode(path.read_bytes(), type=_File).groups
    shared = {group.id: group.attributes for group in groups if group.type == "attribute_group"}
    known = {entry.id: entry for entries in shared.values() for entry in entries}
    return tuple(
        Metric(
            name=group.metric_name,
            brief=group.brief,
            instrument=group.instrument,
            unit=group.unit,
            attributes=tuple(
                _attribute(entry, known)
                for entry in (*group.attributes, *(shared[group.extends] if group.extends else ()))
            ),
            bounds=group.annotations.bounds,
            slow_bounds=group.annotations.slow_bounds,
            components=group.annotations.components,
        )
        for group in groups
        if group.type == "metric"
    )


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of a file."""


class _Member(_Record, frozen=True, kw_only=True):
    id: str
    value: str
    stability: str


class _Enumeration(_Record, frozen=True, kw_only=True):
    members: tuple[_Member, ...]


class _Attribute(_Record, frozen=True, kw_only=True):
    id: str = ""
    ref: str = ""
    type: str | _Enumeration = "string"
    brief: str = ""
    stability: str = ""
    requirement_level: str | dict[str, str] = "recommended"


class _Annotations(_Record, frozen=True, kw_only=True):
    bounds: tuple[int | float, ...] = ()
    slow_bounds: tuple[int | float, ...] = ()
    components: tuple[str, ...] = ()


class _Group(_Record, frozen=True, kw_only=True):
    id: str
    type: Literal["attribute_group", "metric"]
    brief: str
    stability: str
    metric_name: str = ""
    instrument: Any = None
    unit: str = ""
    extends: str = ""
    attributes: tuple[_Attribute, ...] = ()
    annotations: _Annotations = _Annotations()


class _File(_Record, frozen=True, kw_only=True):
    groups: tuple[_Group, ...]


def _attribute(entry: _Attribute, known: dict[str, _Attribute]) -> Attribute:
    defined = known[entry.ref] if entry.ref else entry
    return Attribute(
        name=defined.id,
        brief=entry.brief or defined.brief,
        values=tuple(member.value for member in defined.type.members) if isinstance(defined.type, _Enumeration) else (),
        required=entry.requirement_level == "required",
    )
