"""Recording spans in OpenTelemetry's own packages: instrumentation of ASGI, the protobuf exporter, exemplars."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as protobuf
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, Tracer, TraceState, set_span_in_context

from reelbench.telemetry.tracer import RecordingTracerProvider
from tests.reelbench.twins import NOW, RESOURCE, Ids, Kept


def test_fastapi_records_a_server_span_below_a_sampled_caller_only() -> None:
    kept = Kept()
    provider = RecordingTracerProvider(RESOURCE, [kept])
    app = FastAPI()

    @app.get("/things/{number}")
    def thing(number: int) -> int:
        with provider.get_tracer("inside").start_as_current_span("inside"):
            return number

    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, meter_provider=NoOpMeterProvider(), exclude_spans=["receive", "send"]
    )
    client, trace = TestClient(app), "0af7651916cd43dd8448eb211c80319c"
    for flags in ("03", "00"):
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-{flags}", "tracestate": "a=1"}
        assert client.get("/things/5", headers=headers).json() == 5
    inside, server = kept.spans
    assert (server.name, server.kind, inside.name) == ("GET /things/{number}", SpanKind.SERVER, "inside")
    assert [server.parent.span_id, server.parent.is_remote] == [0xB7AD6B7169203331, True]
    assert inside.parent == server.context
    assert {span.context.trace_id for span in kept.spans} == {int(trace, 16)}
    assert [dict(span.context.trace_state) for span in kept.spans] == [{"a": "1"}] * 2
    assert [span.context.trace_flags for span in kept.spans] == [3, 3]
    # The name of the status depends on which conventions the process chose at the first instrumentation.
    assert {server.attributes.get(name) for name in ("http.response.status_code", "http.status_code")} == {200, None}
    assert server.attributes["http.route"] == "/things/{number}"


def test_the_official_protobuf_exporter_reads_the_spans_as_it_reads_the_sdks() -> None:
    def play(tracer: Tracer) -> None:
        link = Link(SpanContext(1, 2, is_remote=True, trace_state=TraceState([("a", "1")])), {"l": [1, 2]})
        attributes: dict[str, Any] = {"a": 1, "b": 1.5, "c": True, "d": "x", "e": b"y", "f": {"g": None}}
        root = tracer.start_span("root", start_time=NOW)
        span = tracer.start_span("s", set_span_in_context(root), SpanKind.CLIENT, attributes, [link], NOW)
        span.add_event("event", {"k": "v"}, NOW)
        span.set_status(StatusCode.ERROR, "broke")
        span.end(NOW + 1)
        root.end(NOW + 2)

    kept, kept_by_sdk = Kept(), Kept()
    sdk = TracerProvider(resource=RESOURCE, id_generator=Ids(), shutdown_on_exit=False)
    sdk.add_span_processor(kept_by_sdk)
    play(RecordingTracerProvider(RESOURCE, [kept], ids=Ids()).get_tracer("t"))
    play(sdk.get_tracer("t"))
    assert protobuf(kept.spans) == protobuf(kept_by_sdk.spans)
    assert len(kept.spans) == 2


def test_a_measurement_in_a_span_has_its_ids_as_exemplar() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], exemplar_filter=TraceBasedExemplarFilter()).get_meter("m")
    with RecordingTracerProvider(RESOURCE, [Kept()]).get_tracer("t").start_as_current_span("s") as span:
        meter.create_histogram("h").record(1)
    metrics: Any = reader.get_metrics_data()
    (exemplar,) = metrics.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].exemplars
    context = span.get_span_context()
    assert (exemplar.trace_id, exemplar.span_id) == (context.trace_id, context.span_id)
