"""Spans as OTLP JSON, compared with the official encoder field by field after decoding."""

from __future__ import annotations

import json
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans as official
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from reelbench.telemetry import span_encoder
from reelbench.telemetry.span_encoder import SpanEncoder
from tests.reelbench.otlp_json import decoded

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS | st.binary(max_size=4),
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


@pytest.mark.extended
@given(spans=st.lists(SPANS, min_size=1, max_size=6))
def test_every_field_equals_the_official_encoders(spans: list[ReadableSpan]) -> None:
    encoder = SpanEncoder()
    first, second = encoder.encode(spans), encoder.encode(spans)
    assert first == second  # the second time, texts that were kept
    assert first.count(b"\n") == 1
    assert decoded(first) == official(spans).to_dict()


def one(**fields: Any) -> ReadableSpan:
    return ReadableSpan(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({}), **fields)


def encoded(encoder: SpanEncoder, span: ReadableSpan) -> dict[str, Any]:
    """Return the one span of a line."""
    return json.loads(encoder.encode([span]))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]


def test_equal_values_of_different_types_stay_apart() -> None:
    encoder = SpanEncoder()
    values = [1, True, 1.0, "1", 0, False, 0.0, -0.0, b"1", None, 2**63 - 1, 1e300, float("nan")]
    found = [encoded(encoder, one(attributes={"k": value}))["attributes"][0]["value"] for value in values * 2]
    assert found == 2 * [
        {"intValue": "1"},
        {"boolValue": True},
        {"doubleValue": 1.0},
        {"stringValue": "1"},
        {"intValue": "0"},
        {"boolValue": False},
        {"doubleValue": 0.0},
        {"doubleValue": -0.0},
        {"bytesValue": "MQ=="},
        {},
        {"intValue": "9223372036854775807"},
        {"doubleValue": 1e300},
        {"doubleValue": "NaN"},
    ]
    assert encoder.encode([one(attributes={"k": -0.0})]).count(b"-0.0") == 1


def test_the_number_of_kept_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_encoder, "_KEPT", 10)
    encoder = SpanEncoder()
    for number in range(100):
        span = one(attributes={f"key{number}": number, "same": "x", "long": "y" * 300})
        assert decoded(encoder.encode([span])) == official([span]).to_dict()
    assert sum(len(values) for keys in encoder._attributes.values() for values in keys.values()) <= 10
    assert "long" not in encoder._attributes[str]


def test_dropped_counts_are_kept() -> None:
    class Span(ReadableSpan):
        dropped_attributes, dropped_events, dropped_links = 1, 2, 3

    span = Span(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({}))
    assert decoded(SpanEncoder().encode([span])) == official([span]).to_dict()
    found = encoded(SpanEncoder(), span)
    assert [found[f"dropped{what}Count"] for what in ("Attributes", "Events", "Links")] == [1, 2, 3]


@pytest.mark.parametrize("bad", [object(), [object()], {"k": object()}, {1, 2}])
def test_an_attribute_of_a_foreign_type_is_logged_and_the_others_are_kept(
    bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    foreign: Any = {"bad": bad, "good": 1}

    class Foreign(ReadableSpan):
        attributes = foreign

    span = Foreign(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({}))
    assert encoded(SpanEncoder(), span)["attributes"] == [{"key": "good", "value": {"intValue": "1"}}]
    assert f"attribute bad cannot be encoded: OTLP has no value of the type {type_of(bad)}" in caplog.text
    assert decoded(SpanEncoder().encode([span])) == official([span]).to_dict()


def type_of(bad: Any) -> str:
    return "set" if isinstance(bad, set) else "object"


def test_subclasses_of_usual_types_have_their_plain_value() -> None:
    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "LOUD"

    span = one(attributes={"text": Loud("quiet"), "code": HTTPStatus.OK, "kind": Colour.RED, "n": Half(0.5)})
    assert decoded(SpanEncoder().encode([span])) == official([span]).to_dict()
    assert [one["value"] for one in encoded(SpanEncoder(), span)["attributes"]] == [
        {"stringValue": "quiet"},
        {"intValue": "200"},
        {"stringValue": "red"},
        {"doubleValue": 0.5},
    ]


class Colour(StrEnum):
    RED = "red"


class Half(float):
    __slots__ = ()

    def __repr__(self) -> str:
        return "half"


def test_an_integer_of_more_than_64_bits_is_a_text_as_receivers_refuse_it() -> None:
    found = encoded(SpanEncoder(), one(attributes={"a": 2**63, "b": -(2**63) - 1, "c": [2**64], "d": -(2**63)}))
    assert [attribute["value"] for attribute in found["attributes"]] == [
        {"stringValue": "9223372036854775808"},
        {"stringValue": "-9223372036854775809"},
        {"arrayValue": {"values": [{"stringValue": "18446744073709551616"}]}},
        {"intValue": "-9223372036854775808"},
    ]


def test_an_integer_too_long_for_a_text_is_logged_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    found = encoded(SpanEncoder(), one(attributes={"long": 10**5000, "good": 1}))
    assert found["attributes"] == [{"key": "good", "value": {"intValue": "1"}}]
    assert "attribute long cannot be encoded: Exceeds the limit" in caplog.text


def test_a_lone_surrogate_is_written() -> None:
    found = encoded(SpanEncoder(), one(attributes={"k": "\ud800"}))
    assert found["attributes"][0]["value"]["stringValue"] == "\ud800"


def test_no_spans_are_no_line() -> None:
    assert SpanEncoder().encode([]) == b""


def test_other_threads_have_their_turn_within_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("reelbench.telemetry.span_encoder.time.sleep", pauses.append)
    line = SpanEncoder().encode([one()] * 512)
    assert len(json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 512
    assert pauses == [0] * 4
