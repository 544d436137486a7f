from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider

from reelbench.loadgen.bound_histogram import BoundHistogram
from reelbench.loadgen.http.trace_headers import IdTrace, SpanTrace
from reelbench.telemetry.exposition import ScrapeReader

VALUES = [0.0, 0.003, 0.02, 0.02, 1.5, 700.0]
ATTRIBUTES = {"scenario": "s", "case": "c"}


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    (metrics,) = [scope.metrics for resource in data.resource_metrics for scope in resource.scope_metrics]
    return {metric.name: metric.data.data_points for metric in metrics}


def plain(point: object) -> dict[str, object]:
    names = ("attributes", "count", "sum", "min", "max", "bucket_counts", "positive", "zero_count", "scale")
    return {name: getattr(point, name) for name in names if hasattr(point, name)}


@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("delta", [False, True])
def test_a_bound_histogram_records_the_same_as_the_public_api(*, exponential: bool, delta: bool) -> None:
    temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    readers = [InMemoryMetricReader(preferred_temporality={SdkHistogram: temporality}) for _ in range(2)]
    views = [View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())] if exponential else []
    meter = MeterProvider(readers, views=views).get_meter("t")
    mine, public = meter.create_histogram("mine"), meter.create_histogram("public")
    series = BoundHistogram(mine, ATTRIBUTES)
    trace = SpanTrace(TracerProvider().get_tracer("t"), {})
    for _ in range(2):  # over a collection
        for value in VALUES:
            public.record(value, ATTRIBUTES, trace.context)
        series.record([(value, 1.5, trace) for value in VALUES])
        series.mark()
        for reader in readers:
            found = points(reader)
            assert [plain(point) for point in found["mine"]] == [plain(point) for point in found["public"]]
            traces = [[mark.trace_id for mark in found[name][0].exemplars] for name in ("mine", "public")]
            assert traces[0]
            assert set(traces[0]) == set(traces[1])
            kept = [{str(mark.filtered_attributes) for mark in found[name][0].exemplars} for name in ("mine", "public")]
            assert kept[0] == kept[1]
    assert series.bound == (not delta)


class Counted(IdTrace):
    """A trace that counts how often its context is made."""

    asked = 0

    @property
    def context(self) -> Context:
        """Count, and return the context."""
        Counted.asked += 1
        return super().context


@pytest.mark.parametrize("reader", [ScrapeReader, InMemoryMetricReader])
def test_a_value_takes_the_short_way_with_the_reader_of_scrapes_too(
    reader: type[MetricReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted, "asked", 0)
    kept = reader()
    series = BoundHistogram(MeterProvider([kept]).get_meter("t").create_histogram("mine"), ATTRIBUTES)
    trace = Counted()
    series.record([(0.5, 1.5, trace)])
    series.record([(0.5, 1.5, trace)] * 100)
    assert Counted.asked == 1
    series.mark()
    assert Counted.asked == 2  # the last value of the one bucket becomes its exemplar
    if isinstance(kept, ScrapeReader):
        [count] = [
            line.rpartition(b" ")[2] for line in kept.scrape(openmetrics=False).splitlines() if b"mine_count{" in line
        ]
        assert count == b"101.0"


def test_without_an_sdk_recording_has_no_effect() -> None:
    series = BoundHistogram(NoOpMeter("t").create_histogram("h"), ATTRIBUTES)
    series.record([(value, 1.5, IdTrace()) for value in VALUES])
    assert not series.bound
