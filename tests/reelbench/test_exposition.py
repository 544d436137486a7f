"""The scraped text, compared with that of the official exporter."""

from __future__ import annotations

import gzip
import logging
import math
import random
import socket
import urllib.request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from reelbench.telemetry.bound import Series
from reelbench.telemetry.exposition import ScrapeReader
from reelbench.telemetry.scrape_server import serve


class Both:
    """One meter provider, read by the official exporter and by ours."""

    def __init__(self, *views: View) -> None:
        self.registry = CollectorRegistry()
        self.reader = ScrapeReader()
        self.provider = MeterProvider(
            exemplar_filter=AlwaysOnExemplarFilter(),
            metric_readers=[PrometheusMetricReader(registry=self.registry), self.reader],
            resource=Resource({"service.name": 'a "b"\n', "service.instance.id": "1"}),
            views=views,
        )

    def assert_equal(self) -> None:
        assert self.reader.scrape(openmetrics=False).decode() == generate_latest(self.registry).decode()
        assert self.reader.scrape(openmetrics=True) == generate_openmetrics(self.registry)  # type: ignore[no-untyped-call]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
PLAIN = TEXTS | st.booleans() | st.integers() | st.floats() | st.none() | st.binary(max_size=3)
LABELS = st.dictionaries(
    st.sampled_from(["run_id", "case", "le.x", "http.route", "http_route", "le", "otel.scope.name"]),
    PLAIN | st.lists(PLAIN, max_size=2) | st.tuples(PLAIN) | st.dictionaries(TEXTS, PLAIN, max_size=1),
    max_size=3,
)
VALUES = st.floats() | st.integers(-5, 10**9) | st.sampled_from([math.nan, math.inf, -0.0, 0.0])
STEPS = st.lists(
    st.tuples(st.sampled_from(["count", "up", "gauge", "time", "scrape"]), VALUES, LABELS), min_size=1, max_size=25
)


@pytest.mark.extended
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


def test_bound_series_that_come_go_and_rest_have_the_same_bytes() -> None:
    both, draw = Both(), random.Random(1)
    meter = both.provider.get_meter("m")
    counter = Series(meter.create_counter("jobs"), "case")
    in_flight = Series(meter.create_up_down_counter("in_flight"), "case")
    times = Series(meter.create_histogram("times", explicit_bucket_boundaries_advisory=[0.1, 1.0]), "case")
    pages = set()
    for _ in range(300):
        series, case = draw.choice([counter, in_flight, times]), draw.choice("abcd")
        match draw.randrange(6):
            case 0:
                series.remove(lambda values, gone=case: values == (gone,))  # type: ignore[misc]
            case 1 | 2:
                both.assert_equal()
                pages.add(both.reader.scrape(openmetrics=False))
            case _:
                series.record(draw.choice([-1, 1]) if series is in_flight else draw.choice([0, 0.05, 3]), case)
    assert len(pages) > 50


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


def test_a_zero_that_changes_its_sign_is_rendered_again() -> None:
    both = Both()
    gauge = both.provider.get_meter("m").create_gauge("size")
    for value in (0.0, -0.0, 0.0):
        gauge.set(value)
        both.assert_equal()


def test_exemplars_are_left_out_as_the_official_exporter_does() -> None:
    both = Both()
    histogram = both.provider.get_meter("m").create_histogram("t", "s")
    with TracerProvider().get_tracer("m").start_as_current_span("job"):
        histogram.record(0.3, {"case": "a"})
    both.assert_equal()
    assert b"trace_id" not in both.reader.scrape(openmetrics=True)


@pytest.mark.parametrize("place", ["label", "description", "resource"])
def test_half_surrogates_are_written_as_text(place: str) -> None:
    reader = ScrapeReader()
    half = "a\ud800b"
    provider = MeterProvider(
        metric_readers=[reader], resource=Resource({"service.name": half if place == "resource" else "s"})
    )
    counter = provider.get_meter("m").create_counter("jobs", "", half if place == "description" else "")
    counter.add(1, {"case": half if place == "label" else "other"})
    counter.add(2, {"case": "whole"})
    for openmetrics in (False, True):
        text = reader.scrape(openmetrics=openmetrics).decode()
        assert text.count(r"a\\ud800b") == 1
        samples = {
            sample.labels["case"]: sample.value
            for family in text_string_to_metric_families(text.removesuffix("# EOF\n"))
            for sample in family.samples
            if sample.name == "jobs_total"
        }
        assert samples == {r"a\ud800b" if place == "label" else "other": 1.0, "whole": 2.0}


class NoText:
    """A value without text."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_a_value_without_text_is_the_callers_error_and_leaves_the_page_whole() -> None:
    both = Both()
    counter = both.provider.get_meter("m").create_counter("jobs")
    counter.add(1, {"case": "a"})
    with pytest.raises(ValueError, match="no text"):
        counter.add(1, {"case": NoText()})  # type: ignore[dict-item]
    counter.add(1, {"case": "a"})
    both.assert_equal()
    assert b'jobs_total{case="a",' in both.reader.scrape(openmetrics=True)


def test_label_values_of_equal_text_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    both = Both()
    counter = both.provider.get_meter("m").create_counter("jobs")
    for value in (1, "1", "2"):
        counter.add(1, {"case": value})
        both.assert_equal()
    both.assert_equal()
    (record,) = caplog.records
    assert record.getMessage().startswith("The metric jobs has label values that differ only in their type")
    assert 'jobs_total{case="1",' in record.getMessage()


@pytest.mark.parametrize("sets", [10_000, pytest.param(100_000, marks=pytest.mark.extended)])
def test_label_sets_beyond_the_limit_are_counted_together_and_reported_once(
    sets: int, caplog: pytest.LogCaptureFixture
) -> None:
    reader = ScrapeReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("m")
    counter = meter.create_counter("jobs")
    for number in range(sets):
        counter.add(1, {"case": str(number)})
    meter.create_observable_counter("bytes", [lambda _: [Observation(n, {"case": str(n)}) for n in range(3_000)]])
    for _ in range(2):
        text = reader.scrape(openmetrics=True).decode()
        for name, total in (("jobs_total", sets), ("bytes_total", 2_999 * 1_500)):
            values = [line.rpartition(" ") for line in text.splitlines() if line.startswith(f"{name}{{")]
            assert (len(values), sum(float(value) for _, _, value in values)) == (2_001, total)
            assert sum('otel_metric_overflow="true"' in labels for labels, _, _ in values) == 1
    assert [record.getMessage().partition(" has ")[0] for record in caplog.records] == [
        "The metric jobs",
        "The metric bytes",
    ]


def test_scopes_of_one_family_are_merged_like_the_official_exporter() -> None:
    both = Both()
    for scope in ("one", "two"):
        both.provider.get_meter(scope).create_counter("jobs").add(1, {"scope": scope})
    both.assert_equal()


def test_a_removed_series_leaves_the_page_and_begins_again_at_zero() -> None:
    both = Both()
    jobs = Series(both.provider.get_meter("m").create_counter("jobs"), "case", "kind")
    for values in (("a", None), ("b", None), ("a", "x"), ("c", None)):
        jobs.record(2, *values)
    both.assert_equal()
    jobs.remove(lambda values: values[0] == "a")  # the last series with the label kind
    both.assert_equal()
    jobs.record(1, "a", None)
    jobs.record(1, "b", None)
    both.assert_equal()
    page = both.reader.scrape(openmetrics=True).decode().splitlines()
    found = [
        (line.partition('case="')[2][:1], line.rpartition(" ")[2]) for line in page if line.startswith("jobs_total")
    ]
    assert found == [("b", "3.0"), ("c", "2.0"), ("a", "1.0")]


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
