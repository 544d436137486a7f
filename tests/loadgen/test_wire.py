"""Headers and forms of the load generator, compared with the libraries' own."""

from __future__ import annotations

import email
import email.policy
import secrets

import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracer, format_span_id, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reelbench.loadgen import telemetry
from reelbench.loadgen.document import Document, Form
from reelbench.loadgen.http.trace_headers import IdTrace, SpanTrace
from reelbench.telemetry.propagation import baggage_header


def test_the_headers_are_those_of_the_propagator() -> None:
    for trace in (IdTrace(), SpanTrace(TracerProvider().get_tracer("t"), {})):
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.context)
        version, trace_id, root, flags = carrier["traceparent"].split("-")
        assert (version, trace_id, flags) == ("00", trace.trace_id, "03")  # sampled, random
        assert trace.polled == f"00-{trace_id}-{root}-00"
        header, _ = trace.request("GET", "/v1", "http://h", "/v1?a=1")
        context = TraceContextTextMapPropagator().extract({"traceparent": header}, Context())
        ids = get_current_span(context).get_span_context()
        assert (format_trace_id(ids.trace_id), ids.trace_flags) == (trace_id, 3)
        assert format_span_id(ids.span_id) != root


def test_baggage_is_read_back_from_the_header() -> None:
    members = (("run_id", "a b,c;d=ü"), ("scenario", "s"))
    context = W3CBaggagePropagator().extract({"baggage": baggage_header(members)}, Context())
    assert baggage.get_all(context) == dict(members)
    assert baggage_header(members).isascii()
    assert baggage_header(()) == ""


def test_ids_alone_are_new_for_each_job_and_request() -> None:
    traces = [IdTrace() for _ in range(50)]
    headers = [trace.request("GET", "/v1", "http://h", "/v1") for trace in traces for _ in range(3)]
    assert all(span is None for _, span in headers)
    spans = {header.split("-")[2] for header, _ in headers} | {trace.polled.split("-")[2] for trace in traces}
    assert len(spans) == 200
    assert len({trace.trace_id for trace in traces}) == 50
    assert {len(trace.trace_id) for trace in traces} == {32}


def test_a_disabled_tracer_sends_no_headers() -> None:
    trace = SpanTrace(NoOpTracer(), {})
    header, span = trace.request("GET", "/v1", "http://h", "/v1")
    assert (header, trace.polled) == ("", "")
    assert span is not None
    span.end(200, None)
    trace.end("completed", "video_1", None, well=True)


@pytest.mark.parametrize(
    ("environment", "ids_alone"),
    [
        ({}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_only_ids_are_generated_without_an_exporter(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, ids_alone: bool
) -> None:
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (telemetry.tracer() is None) == ids_alone


@pytest.mark.parametrize("name", ["paper.pdf", 'a "b"\r\nX: y.pdf', "übung ☃.txt"])
def test_a_form_is_read_back_unchanged(name: str) -> None:
    document = Document(name=name, media_type="application/pdf", data=secrets.token_bytes(5000) + b"\r\n--\r\n")
    form = Form()
    parts = form.encode({"prompt": "two\nlines, ü", "size": "1x1"}, "input_reference", document)
    assert parts[1] is document.data
    head = f"Content-Type: {form.media_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + b"".join(parts), policy=email.policy.HTTP)
    prompt, size, file = message.iter_parts()
    assert [part.get_param("name", header="content-disposition") for part in (prompt, size, file)] == [
        "prompt",
        "size",
        "input_reference",
    ]
    assert prompt.get_payload(decode=True) == "two\nlines, ü".encode()
    assert size.get_payload(decode=True) == b"1x1"
    assert file.get_payload(decode=True) == document.data
    assert file.get_content_type() == "application/pdf"
    escaped: dict[str, str | int | None] = {'"': "%22", "\r": "%0D", "\n": "%0A"}
    written = name.translate(str.maketrans(escaped))
    assert f'filename="{written}"'.encode() in parts[0]
