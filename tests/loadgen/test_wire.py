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
from opentelemetry.trace import NoOpTracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reelbench.loadgen import telemetry
from reelbench.loadgen.document import Document, Form
from reelbench.loadgen.http.trace_headers import IdTracer, traceparent
from reelbench.telemetry.propagation import baggage_header


def test_traceparent_equals_the_propagators() -> None:
    for tracer in (TracerProvider().get_tracer("t"), IdTracer()):
        span = tracer.start_span("s", Context())
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span, Context()))
        assert traceparent(span.get_span_context()) == carrier["traceparent"]
        assert carrier["traceparent"].endswith("-03")  # sampled, random


def test_baggage_is_read_back_from_the_header() -> None:
    members = (("run_id", "a b,c;d=ü"), ("scenario", "s"))
    context = W3CBaggagePropagator().extract({"baggage": baggage_header(members)}, Context())
    assert baggage.get_all(context) == dict(members)
    assert baggage_header(members).isascii()
    assert baggage_header(()) == ""


def test_the_id_only_tracer_keeps_the_trace_and_creates_new_span_ids() -> None:
    tracer = IdTracer()
    root = tracer.start_span("loadgen.job", context=Context())
    child = tracer.start_span("GET", context=set_span_in_context(root, Context()), attributes={"a": 1})
    other = tracer.start_span("loadgen.job", context=Context())
    ids = [span.get_span_context() for span in (root, child, other)]
    assert ids[0].trace_id == ids[1].trace_id != ids[2].trace_id
    assert len({context.span_id for context in ids}) == 3
    assert all(context.is_valid and context.trace_flags.sampled for context in ids)


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, IdTracer),
        ({"OTEL_TRACES_EXPORTER": "none"}, IdTracer),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, None),
    ],
)
def test_only_ids_are_generated_without_an_exporter(
    environment: dict[str, str], kind: type | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (type(telemetry.tracer()) is IdTracer) == (kind is IdTracer)
    assert isinstance(telemetry.tracer(), NoOpTracer) or kind is None


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
