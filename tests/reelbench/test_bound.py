"""Bound instruments record what the public API of OpenTelemetry records."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import UpDownCounter as SdkUpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from reelbench.telemetry.bound import BoundInstrument, Instrument, Series

VALUES = [0.0, 0.003, 0.02, 0.02, 1.5, 700.0]
ATTRIBUTES = {"scenario": "s", "case": "c"}
KINDS = ["counter", "up_down_counter", "histogram"]


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    (metrics,) = [scope.metrics for resource in data.resource_metrics for scope in resource.scope_metrics]
    return {metric.name: metric.data.data_points for metric in metrics}


def plain(point: object) -> dict[str, object]:
    names = ("attributes", "value", "count", "sum", "min", "max", "bucket_counts", "positive", "zero_count", "scale")
    return {name: getattr(point, name) for name in names if hasattr(point, name)}


def made(meter: Any, kind: str, name: str) -> tuple[Instrument, Any]:
    """An instrument, and its public method."""
    instrument = getattr(meter, f"create_{kind}")(name)
    return instrument, instrument.record if kind == "histogram" else instrument.add


@pytest.mark.parametrize("kind", [*KINDS, "exponential"])
@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("sampled", [True, False])
def test_a_bound_instrument_records_the_same_as_the_public_api(*, kind: str, delta: bool, sampled: bool) -> None:
    temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    preferred: dict[type, Any] = dict.fromkeys([SdkHistogram, SdkCounter, SdkUpDownCounter], temporality)
    readers = [InMemoryMetricReader(preferred_temporality=preferred) for _ in range(2)]
    views = [View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())]
    usual = {} if sampled else {"exemplar_filter": AlwaysOffExemplarFilter()}
    provider = MeterProvider(readers, views=views if kind == "exponential" else [], **usual)  # type: ignore[arg-type]
    meter, kind = provider.get_meter("t"), "histogram" if kind == "exponential" else kind
    mine, (_, public) = made(meter, kind, "mine")[0], made(meter, kind, "public")
    series = BoundInstrument(mine, ATTRIBUTES)
    context = set_span_in_context(TracerProvider().get_tracer("t").start_span("job", Context()), Context())
    for _ in range(2):  # over a collection
        for value in VALUES:
            series.record(value, context)
            public(value, ATTRIBUTES, context)
        for reader in readers:
            found = points(reader)
            assert [plain(point) for point in found["mine"]] == [plain(point) for point in found["public"]]
            assert dict(found["mine"][0].attributes) == ATTRIBUTES
            traces = [[mark.trace_id for mark in found[name][0].exemplars] for name in ("mine", "public")]
            assert bool(traces[0]) == sampled
            assert set(traces[0]) == set(traces[1])
            kept = [{str(mark.filtered_attributes) for mark in found[name][0].exemplars} for name in ("mine", "public")]
            assert kept[0] == kept[1]
    assert series.bound == (not delta)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_context_the_current_one_gives_the_exemplar(kind: str) -> None:
    reader = InMemoryMetricReader()
    series = BoundInstrument(made(MeterProvider([reader]).get_meter("t"), kind, "mine")[0], ATTRIBUTES)
    with TracerProvider().get_tracer("t").start_as_current_span("job") as span:
        for _ in range(3):
            series.record(1.0)
    assert {mark.span_id for mark in points(reader)["mine"][0].exemplars} == {span.get_span_context().span_id}


def test_a_value_that_the_sdk_refuses_is_refused_with_its_warning(caplog: pytest.LogCaptureFixture) -> None:
    for kind in KINDS:
        reader = InMemoryMetricReader()
        series = BoundInstrument(made(MeterProvider([reader]).get_meter("t"), kind, "mine")[0], {})
        series.record(2.0)
        refused = [math.nan, math.inf, -math.inf]
        if kind != "up_down_counter":
            refused.append(-1.0)
        with caplog.at_level(logging.WARNING):
            for value in refused:
                series.record(value)
        assert len(caplog.records) == len(refused)
        caplog.clear()
        (point,) = points(reader)["mine"]
        assert (point.sum if kind == "histogram" else point.value) == 2.0
        assert series.bound


def test_an_up_down_counter_falls() -> None:
    reader = InMemoryMetricReader()
    series = Series(MeterProvider([reader]).get_meter("t").create_up_down_counter("n"), "state")
    for change in (1, 1, -1, 1, -1, -1, -1):
        series.record(change, "running")
    assert [point.value for point in points(reader)["n"]] == [-1]


@pytest.mark.parametrize("kind", KINDS)
def test_without_an_sdk_recording_has_no_effect(kind: str) -> None:
    series = BoundInstrument(made(NoOpMeter("t"), kind, "mine")[0], ATTRIBUTES)
    for value in VALUES:
        series.record(value, Context())
    assert not series.bound


def test_series_are_found_by_the_values_of_their_attributes() -> None:
    reader = InMemoryMetricReader()
    series = Series(MeterProvider([reader]).get_meter("t").create_counter("n"), "kind", "status", "error.type")
    for values in (("a", 200, None), ("a", 500, "500"), ("a", 200, None), ("", 200, None)):
        series.record(1, *values)
    assert series.at(("a", 200, None)) is series.at(("a", 200, None))
    assert [(dict(point.attributes), point.value) for point in points(reader)["n"]] == [
        ({"kind": "a", "status": 200}, 2),
        ({"kind": "a", "status": 500, "error.type": "500"}, 1),
        ({"kind": "", "status": 200}, 1),
    ]
    with pytest.raises(ValueError, match="shorter"):
        series.record(1, "a", 200)


def test_beyond_the_limit_of_the_sdk_series_are_counted_as_overflow() -> None:
    reader = InMemoryMetricReader()
    series = Series(MeterProvider([reader]).get_meter("t").create_counter("n"), "kind")
    for number in range(5_000):
        for _ in range(2):
            series.record(1, str(number))
    found = {str(dict(point.attributes)): point.value for point in points(reader)["n"]}
    assert len(found) == 2_001
    assert found["{'kind': '1999'}"] == 2
    assert found["{'otel.metric.overflow': True}"] == 2 * 3_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_is_added_later_receives_later_measurements(kind: str) -> None:
    provider = MeterProvider()
    meter = provider.get_meter("t")
    series, (_, public) = BoundInstrument(made(meter, kind, "mine")[0], ATTRIBUTES), made(meter, kind, "public")
    readers: list[InMemoryMetricReader] = []
    for number in range(1, 4):
        for value in VALUES:
            series.record(number * value)
            public(number * value, ATTRIBUTES)
        assert series.bound
        readers.append(InMemoryMetricReader())
        provider.add_metric_reader(readers[-1])
    for reader in readers[:-1]:
        found = points(reader)
        assert [plain(point) for point in found["mine"]] == [plain(point) for point in found["public"]]
        assert len(found["mine"]) == 1
    assert points(readers[-1]) == {}


def test_without_a_reader_a_measurement_costs_no_work_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    series = Series(MeterProvider().get_meter("t").create_counter("n"), "kind")
    series.record(1, "a")
    calls: list[object] = []
    monkeypatch.setattr(SdkCounter, "add", lambda *_, **__: calls.append(1))
    series.at(("a",)).record(1)
    assert (series.at(("a",)).bound, calls) == (True, [])
