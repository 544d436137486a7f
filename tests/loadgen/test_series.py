from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider

from reelbench.loadgen.bound_histogram import BoundHistogram
from reelbench.loadgen.http.trace_headers import IdTrace, SpanTrace

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


def test_without_an_sdk_recording_has_no_effect() -> None:
    series = BoundHistogram(NoOpMeter("t").create_histogram("h"), ATTRIBUTES)
    series.record([(value, 1.5, IdTrace()) for value in VALUES])
    assert not series.bound
