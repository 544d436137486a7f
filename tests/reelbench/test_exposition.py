"""The scraped text, compared with that of the official exporter."""

from __future__ import annotations

import gzip
import logging
import math
import socket
import urllib.request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from reelbench.telemetry.exposition import ScrapeReader, serve


class Both:
    """One meter provider, read by the official exporter and by ours."""

    def __init__(self, *views: View) -> None:
        self.registry = CollectorRegistry()
        self.reader = ScrapeReader()
        self.provider = MeterProvider(
            metric_readers=[PrometheusMetricReader(registry=self.registry), self.reader],
            resource=Resource({"service.name": 'a "b"\n', "service.instance.id": "1"}),
            views=views,
        )

    def assert_equal(self) -> None:
        assert self.reader.scrape(openmetrics=False).decode() == generate_latest(self.registry).decode()
        assert self.reader.scrape(openmetrics=True) == generate_openmetrics(self.registry)  # type: ignore[no-untyped-call]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
LABELS = st.dictionaries(
    st.sampled_from(["run_id", "case", "le.x", "http.route"]),
    TEXTS | st.booleans() | st.integers() | st.floats(),
    max_size=3,
)
VALUES = st.floats(min_value=0) | st.integers(0, 10**9) | st.just(math.nan)
STEPS = st.lists(
    st.tuples(st.sampled_from(["count", "up", "gauge", "time", "scrape"]), VALUES, LABELS), min_size=1, max_size=25
)


@settings(deadline=None)
@given(steps=STEPS, help_text=TEXTS)
def test_the_bytes_equal_prometheus_clients(steps: list[tuple[str, float, dict[str, str]]], help_text: str) -> None:
    both = Both()
    meter = both.provider.get_meter("m", "1")
    calls = {
        "count": meter.create_counter("jobs", "{job}", help_text).add,
        "up": meter.create_up_down_counter("jobs.in_flight", "{job}", help_text).add,
        "gauge": meter.create_gauge("size", "By", help_text).set,
        "time": meter.create_histogram(
            "time.taken", "s", help_text, explicit_bucket_boundaries_advisory=[0.1, 1, 1e7]
        ).record,
    }
    for what, value, labels in steps:
        if what == "scrape":
            both.assert_equal()
        else:
            calls[what](value, labels)
    both.assert_equal()
    both.assert_equal()


def test_only_changed_series_are_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()
    histogram = both.provider.get_meter("m").create_histogram("t", "s")
    for case in range(50):
        histogram.record(case, {"case": case})
    both.assert_equal()
    translated: list[MetricsData] = []
    monkeypatch.setattr(both.reader, "_translated", translated.append)
    formatted: list[float] = []

    def noted(value: float) -> str:
        formatted.append(value)
        return str(value)

    monkeypatch.setattr("reelbench.telemetry.exposition.floatToGoString", noted)
    histogram.record(2.5, {"case": 7})
    text = both.reader.scrape(openmetrics=True).decode()
    assert 't_seconds_sum{case="7",otel_scope_name="m",otel_scope_schema_url="",otel_scope_version=""} 9.5\n' in text
    assert (translated, formatted) == ([], [9.5])


def test_scopes_of_one_family_are_merged_like_the_official_exporter() -> None:
    both = Both()
    for scope in ("one", "two"):
        both.provider.get_meter(scope).create_counter("jobs").add(1, {"scope": scope})
    both.assert_equal()


def test_a_bucket_below_zero_leaves_no_sum() -> None:
    both = Both()
    histogram = both.provider.get_meter("m").create_histogram("t", explicit_bucket_boundaries_advisory=[-1, 1])
    histogram.record(1)
    both.assert_equal()
    histogram.record(2)
    both.assert_equal()


def test_an_unknown_kind_is_treated_like_the_official_exporter(caplog: pytest.LogCaptureFixture) -> None:
    both = Both(View(instrument_name="t", aggregation=ExponentialBucketHistogramAggregation()))
    meter = both.provider.get_meter("m")
    meter.create_counter("jobs").add(1)
    meter.create_histogram("t").record(1)
    with caplog.at_level(logging.CRITICAL), pytest.raises(AttributeError):
        generate_latest(both.registry)
    with caplog.at_level(logging.CRITICAL), pytest.raises(AttributeError):
        both.reader.scrape(openmetrics=True)


def test_without_an_instrument_the_text_is_empty() -> None:
    both = Both()
    assert both.reader.scrape(openmetrics=True) == b"# EOF\n"
    assert both.reader.scrape(openmetrics=False) == b""


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.5", "openmetrics"),
        ("application/openmetrics-text;version=1.0.0;escaping=dots", "openmetrics"),
        ("text/plain;version=0.0.4", "plain"),
        ("text/plain;version=1.0.0;escaping=underscores", "plain"),
    ],
)
def test_the_server_negotiates_as_prometheus_client_does(accept: str, kind: str) -> None:
    both = Both()
    both.provider.get_meter("m").create_counter("jobs").add(3, {"k": "v"})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve(both.reader, "127.0.0.1", port)
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"}
    )
    with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
        body, headers = answer.read(), answer.headers
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    assert headers["Content-Type"].startswith("text/plain" if kind == "plain" else "application/openmetrics-text")
    assert (b"# EOF" in body, b" 3.0\n" in body) == (kind == "openmetrics", True)
    with pytest.raises(OSError, match="in use"):
        serve(both.reader, "127.0.0.1", port)
