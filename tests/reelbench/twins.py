"""The same calls on the SDK's tracer and on recording spans, whose results must be equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans as official
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Tracer

from reelbench.telemetry.span_encoder import SpanEncoder
from reelbench.telemetry.tracer import RecordingTracerProvider
from tests.reelbench.otlp_json import decoded

RESOURCE = Resource({"service.name": "a"}, "https://schema")
NOW = 1_000


class Ids(IdGenerator):
    """Ids that count up, so two providers give equal ones."""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    generate_trace_id = generate_span_id

    def is_trace_id_random(self) -> bool:
        return True


class Kept(SpanProcessor):
    """Keeps the spans that ended."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def both(play: Callable[[Tracer], Any], *, heeds_parent: bool = True) -> tuple[dict[str, Any], Any]:
    """Run `play` on both tracers; return the spans of ours, encoded, and what `play` returned.

    Raises:
        AssertionError: the SDK's spans or the results differ.
    """
    kept, kept_by_sdk = Kept(), Kept()
    ours = RecordingTracerProvider(RESOURCE, [kept], heeds_parent=heeds_parent, ids=Ids(), now=lambda: NOW)
    sampler = sampling.DEFAULT_ON if heeds_parent else sampling.ALWAYS_ON
    sdk = TracerProvider(sampler, RESOURCE, id_generator=Ids(), shutdown_on_exit=False)
    sdk.add_span_processor(kept_by_sdk)
    scope = "scope", "1", "https://scope", {"k": "v"}
    result = play(ours.get_tracer(*scope))
    with mock.patch("opentelemetry.sdk.trace.time_ns", return_value=NOW):
        expected = play(sdk.get_tracer(*scope))
    assert result == expected
    found = without_frames(decoded(SpanEncoder().encode(kept.spans) or b"{}"))
    assert found == without_frames(official(kept_by_sdk.spans).to_dict())
    return found, result


def without_frames(found: dict[str, Any]) -> dict[str, Any]:
    """Leave the last line of each stack trace: the frames of the tracer itself differ."""
    for span in spans_of(found):
        for event in span.get("events", []):
            for attribute in event.get("attributes", []):
                if attribute["key"] == "exception.stacktrace" and "stringValue" in attribute["value"]:
                    attribute["value"]["stringValue"] = attribute["value"]["stringValue"].splitlines()[-1]
    return found


def spans_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    return found["resourceSpans"][0]["scopeSpans"][0]["spans"] if found else []
