"""Data points that are kept: the same object until something is measured, and no measurement lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from threading import Thread

import pytest
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.metrics.view import DefaultAggregation

from reelbench.telemetry.kept_points import KeptPoints

Point = HistogramDataPoint | NumberDataPoint


def kept_reader() -> InMemoryMetricReader:
    return InMemoryMetricReader(preferred_aggregation=dict.fromkeys((Counter, Histogram, UpDownCounter), KeptPoints()))


def points(reader: InMemoryMetricReader) -> dict[tuple[str, object], Point]:
    """Name and case -> the point of a collection."""

    def found() -> Iterator[tuple[tuple[str, object], Point]]:
        data = reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        assert isinstance(point, HistogramDataPoint | NumberDataPoint)
                        yield (metric.name, (point.attributes or {})["case"]), point

    return dict(found())


def values(found: dict[tuple[str, object], Point]) -> dict[tuple[str, object], float]:
    return {key: point.sum if isinstance(point, HistogramDataPoint) else point.value for key, point in found.items()}


def test_a_point_is_the_same_object_until_its_series_is_measured() -> None:
    reader, official = kept_reader(), InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader, official]).get_meter("m")
    jobs, in_flight = meter.create_counter("jobs"), meter.create_up_down_counter("in_flight")
    times = meter.create_histogram("times", explicit_bucket_boundaries_advisory=[1.0])
    for case in ("a", "b"):
        jobs.add(1, {"case": case})
        in_flight.add(1, {"case": case})
        times.record(0.5, {"case": case})
    first, again = points(reader), points(reader)
    assert len(first) == 6
    assert all(again[key] is point for key, point in first.items())
    jobs.add(2, {"case": "a"})
    in_flight.add(-1, {"case": "b"})
    times.record(0.0, {"case": "a"})  # the sum stays, the count does not
    later = points(reader)
    changed = {("jobs", "a"), ("in_flight", "b"), ("times", "a")}
    assert {key for key, point in later.items() if point is not first[key]} == changed
    assert values(later) == values(points(official))
    point = later["times", "a"]
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, list(point.bucket_counts)) == (2, [2, 0])


class Unknown:
    """An aggregation of another release of the SDK, of which it is not known how it keeps its values."""

    __slots__ = ("_value",)


def test_an_aggregation_that_is_not_known_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Unknown()
    monkeypatch.setattr(DefaultAggregation, "_create_aggregation", lambda *_: made)
    assert KeptPoints()._create_aggregation() is made


def test_nothing_that_other_threads_measure_during_collections_is_lost() -> None:
    reader = kept_reader()
    counter = MeterProvider(metric_readers=[reader]).get_meter("m").create_counter("jobs")

    def measure(case: str) -> None:
        for _ in range(5_000):
            counter.add(1, {"case": case})

    threads = [Thread(target=measure, args=(case,)) for case in "ab"]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # else a thread is seldom interrupted within a measurement
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            points(reader)
    finally:
        sys.setswitchinterval(before)
    assert values(points(reader)) == {("jobs", "a"): 5_000, ("jobs", "b"): 5_000}
