"""Recording spans: the same calls on the SDK's tracer and on this one give equal spans."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from reelbench.telemetry.span import LIMIT
from reelbench.telemetry.tracer import RecordingTracerProvider
from tests.reelbench.twins import RESOURCE, Kept, both, spans_of


class Unprintable:
    """A foreign value without a text of its own."""


class Named:
    """A foreign value with a text."""

    def __str__(self) -> str:
        return "named"


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=3)
FOREIGN = st.sampled_from([Unprintable(), Named(), {1}, 1j, [Named(), 1], {1: Unprintable()}])
VALUES: st.SearchStrategy[Any] = (
    SCALARS
    | st.binary(max_size=2)
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(st.text(max_size=2) | st.integers(0, 2), SCALARS, max_size=2)
    | FOREIGN
)
KEYS: st.SearchStrategy[Any] = st.sampled_from(["a", "b", "c", "", 1, None, Named()])
ATTRIBUTES: st.SearchStrategy[Any] = st.none() | st.dictionaries(KEYS, VALUES, max_size=4)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([TraceFlags(flags) for flags in (0, 1, 2, 3, 255)]),
    st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "2")])]),
)
LINKS = st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2)
CODES = st.sampled_from(StatusCode)
STATUSES = st.builds(Status, CODES, st.none() | st.just("broke")) | CODES
TIMES = st.none() | st.integers(0, 2**62)
ERRORS = st.sampled_from([ValueError("bad"), KeyError(), asyncio.CancelledError()])
CALLS = st.one_of(
    st.tuples(st.just("set_attribute"), KEYS, VALUES),
    st.tuples(st.just("set_attributes"), st.dictionaries(KEYS, VALUES, max_size=4)),
    st.tuples(st.just("add_event"), st.text(max_size=2), ATTRIBUTES, TIMES),
    st.tuples(st.just("record_exception"), ERRORS, ATTRIBUTES, TIMES, st.booleans()),
    st.tuples(st.just("add_link"), CONTEXTS, ATTRIBUTES),
    st.tuples(st.just("set_status"), STATUSES, st.none() | st.just("text")),
    st.tuples(st.just("update_name"), st.text(max_size=2)),
    st.tuples(st.just("end"), TIMES),
)


@given(
    parent=st.none() | CONTEXTS,
    kind=st.sampled_from(SpanKind),
    attributes=ATTRIBUTES,
    links=st.none() | LINKS,
    start=TIMES,
    calls=st.lists(CALLS, max_size=8),
    heeds_parent=st.booleans(),
)
def test_the_same_calls_give_the_same_span(  # noqa: PLR0917 - hypothesis names them
    parent: SpanContext | None,
    kind: SpanKind,
    attributes: Any,
    links: Sequence[Link] | None,
    start: int | None,
    calls: list[tuple[Any, ...]],
    heeds_parent: bool,  # noqa: FBT001
) -> None:
    context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())

    def play(tracer: Tracer) -> Any:
        copies = [Link(link.context, link.attributes) for link in links or ()]  # the SDK changes links
        span = tracer.start_span("s", context, kind, attributes, copies, start)
        recording = [span.is_recording()]
        for name, *arguments in calls:
            getattr(span, name)(*arguments)
            recording.append(span.is_recording())
        span.end()
        return span.get_span_context(), recording, type(span) is NonRecordingSpan

    both(play, heeds_parent=heeds_parent)


@pytest.mark.parametrize("error", [None, ValueError("bad"), asyncio.CancelledError("stop"), GeneratorExit()])
@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("status", [True, False])
@pytest.mark.parametrize("end_on_exit", [True, False])
def test_a_current_span_ends_and_records_as_the_sdks(
    error: BaseException | None, *, record: bool, status: bool, end_on_exit: bool
) -> None:
    def play(tracer: Tracer) -> Any:
        seen: list[Any] = []
        outer = tracer.start_span("outer")
        try:
            with tracer.start_as_current_span(
                "s",
                set_span_in_context(outer),
                attributes={"a": 1},
                record_exception=record,
                set_status_on_exception=status,
                end_on_exit=end_on_exit,
            ) as span:
                seen.append(get_current_span() is span)
                tracer.start_span("inner").end()
                if error:
                    raise error  # noqa: TRY301
        except BaseException as raised:  # noqa: BLE001
            seen.append(raised)
        seen.extend([span.is_recording(), get_current_span().get_span_context().is_valid])
        outer.end()
        return seen

    found, seen = both(play)
    assert seen == [True, *([error] if error else []), not end_on_exit, False]
    assert [span["name"] for span in spans_of(found)] == ["inner", *(["s"] if end_on_exit else []), "outer"]
    assert spans_of(found)[0]["parentSpanId"] == "0000000000000003"


@pytest.mark.parametrize("error", [None, ValueError("bad"), asyncio.CancelledError("stop")])
@pytest.mark.parametrize("flag", [True, False])
def test_a_span_as_a_context_manager_records_as_the_sdks(error: BaseException | None, *, flag: bool) -> None:
    def play(tracer: Tracer) -> Any:
        try:
            with tracer.start_span("s", record_exception=flag, set_status_on_exception=flag) as span:
                if error:
                    raise error  # noqa: TRY301
        except BaseException as raised:  # noqa: BLE001
            return raised, span.is_recording()
        return None, span.is_recording()

    found, result = both(play)
    assert result == (error, False)
    assert len(spans_of(found)[0].get("events", [])) == (1 if error and flag else 0)


def test_a_decorator_gives_each_call_a_span_that_lasts_until_its_end() -> None:
    def play(tracer: Tracer) -> Any:
        @tracer.start_as_current_span("plain")
        def plain(number: int) -> bool:
            return get_current_span().is_recording() and number > 0

        @tracer.start_as_current_span("coroutine")
        async def coroutine(number: int) -> Span:
            await asyncio.sleep(0)
            assert number == 2
            return get_current_span()

        results = plain(1), plain(0)
        span = asyncio.run(coroutine(2))
        return results, plain.__name__, coroutine.__name__, span.is_recording(), span.get_span_context()

    found, result = both(play)
    assert result[:4] == ((True, False), "plain", "coroutine", False)
    assert [span["name"] for span in spans_of(found)] == ["plain", "plain", "coroutine"]


@pytest.mark.extended
def test_beyond_the_limits_the_oldest_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    many = {f"k{number}": number for number in range(LIMIT + 2)}
    link = SpanContext(1, 2, is_remote=False)

    def play(tracer: Tracer) -> None:
        span = tracer.start_span("s", attributes=many, links=[Link(link, many) for _ in range(LIMIT + 1)])
        span.set_attribute("k2", "again")
        span.set_attributes({"new": 1, "k3": "again"})
        for number in range(LIMIT + 3):
            span.add_event(str(number), many)
        span.add_link(link)
        span.end()

    (span,) = spans_of(both(play)[0])
    assert [span[f"dropped{what}Count"] for what in ("Attributes", "Events", "Links")] == [4, 3, 2]
    assert [len(span[what]) for what in ("attributes", "events", "links")] == [LIMIT] * 3
    assert span["events"][0]["name"] == "3"
    assert span["links"][0]["droppedAttributesCount"] == span["events"][0]["droppedAttributesCount"] == 2
    assert span["attributes"][-1] == {"key": "k3", "value": {"stringValue": "again"}}
    assert "more than 128 attributes" in caplog.text


def test_a_value_that_changes_later_was_copied() -> None:
    def play(tracer: Tracer) -> None:
        values, attributes = ["a"], {"k": 1}
        span = tracer.start_span("s", attributes=attributes)
        span.set_attribute("values", values)
        values.append("b")
        attributes["k"] = 2
        span.end()

    (span,) = spans_of(both(play)[0])
    assert span["attributes"] == [
        {"key": "k", "value": {"intValue": "1"}},
        {"key": "values", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
    ]


def test_a_foreign_value_is_recorded_as_text_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    tracer = RecordingTracerProvider(RESOURCE, [kept]).get_tracer("t")
    span = tracer.start_span("s")
    foreign: Any = Named()
    span.set_attribute("a", foreign)
    span.end()
    assert kept.spans[0].attributes == {"a": "named"}
    assert "Named" in caplog.text
    assert "Invalid type" in caplog.text


def test_a_span_ends_once(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    span = RecordingTracerProvider(RESOURCE, [kept]).get_tracer("t").start_span("s")
    span.end(5)
    span.end(6)
    assert [one.end_time for one in kept.spans] == [5]
    assert "Calling end() on an ended span" in caplog.text


def test_the_apis_use_span_works() -> None:
    def play(tracer: Tracer) -> Any:
        span = tracer.start_span("s")
        with pytest.raises(ValueError, match="bad"), trace.use_span(span, end_on_exit=True):
            raise ValueError("bad")
        return span.is_recording()

    (span,) = spans_of(both(play)[0])
    assert span["status"] == {"message": "ValueError: bad", "code": 2}


def test_several_threads_end_a_span_once() -> None:
    kept = Kept()
    tracer = RecordingTracerProvider(RESOURCE, [kept]).get_tracer("t")
    spans = [tracer.start_span("s") for _ in range(300)]
    ready = Barrier(4)

    def end() -> None:
        ready.wait()
        for span in spans:
            span.end()

    threads = [Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept.spans) == len(set(map(id, kept.spans))) == 300
