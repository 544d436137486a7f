"""Spans in files, compared with the official encoder field by field after decoding."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans as official
from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from reelbench.telemetry.span_file import SpanFileExporter, encode_spans

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
NANOSECONDS = st.integers(0, 2**63)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "2")])]),
)
SPANS = st.builds(
    ReadableSpan,
    name=TEXTS,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.sampled_from([Resource({"service.name": "a"}), Resource({"service.name": "b", "n": 1}, "https://s")]),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, name=TEXTS, attributes=ATTRIBUTES, timestamp=NANOSECONDS), max_size=2),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.builds(Status, st.just(StatusCode.ERROR), TEXTS)
    | st.builds(Status, st.sampled_from([StatusCode.OK, StatusCode.UNSET])),
    start_time=NANOSECONDS,
    end_time=NANOSECONDS,
    instrumentation_scope=st.sampled_from(
        [None, InstrumentationScope("x"), InstrumentationScope("y", "1", "https://s", {"k": "v"})]
    ),
)


def decoded(line: bytes) -> dict[str, Any]:
    """Return a line in the form of the official message, without fields that have their default value."""
    return ExportTraceServiceRequest.from_dict(json.loads(line)).to_dict()


@given(spans=st.lists(SPANS, min_size=1, max_size=6))
def test_every_field_equals_the_official_encoders(spans: list[ReadableSpan]) -> None:
    line = encode_spans(spans)
    assert line.count(b"\n") == 1
    assert decoded(line) == official(spans).to_dict()


def one(**fields: Any) -> ReadableSpan:
    return ReadableSpan(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({}), **fields)


def test_dropped_counts_are_kept() -> None:
    class Span(ReadableSpan):
        dropped_attributes, dropped_events, dropped_links = 1, 2, 3

    span = Span(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({}))
    assert decoded(encode_spans([span])) == official([span]).to_dict()
    found = json.loads(encode_spans([span]))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert [found[f"dropped{what}Count"] for what in ("Attributes", "Events", "Links")] == [1, 2, 3]


def test_an_attribute_of_a_foreign_type_is_logged_and_the_others_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    foreign: Any = {"bad": object(), "good": 1}

    class Foreign(ReadableSpan):
        attributes = foreign

    line = encode_spans([Foreign(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({}))])
    span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span["attributes"] == [{"key": "good", "value": {"intValue": "1"}}]
    assert "attribute bad of the type object" in caplog.text


def test_a_lone_surrogate_is_written() -> None:
    line = encode_spans([one(attributes={"k": "\ud800"})])
    span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span["attributes"][0]["value"]["stringValue"] == "\ud800"


def test_each_batch_is_a_line_and_a_broken_stream_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.BytesIO()
    exporter = SpanFileExporter(stream)
    assert [exporter.export([one()]), exporter.export([one(), one()]), exporter.export([])] == [
        SpanExportResult.SUCCESS
    ] * 3
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    count: Callable[[Any], int] = lambda line: len(line["resourceSpans"][0]["scopeSpans"][0]["spans"])  # noqa: E731
    assert [count(line) for line in lines] == [1, 2]
    stream.close()
    assert exporter.export([one()]) is SpanExportResult.FAILURE
    assert "1 spans could not be written" in caplog.text
    exporter.shutdown()
    assert exporter.export([one()]) is SpanExportResult.FAILURE
