"""Spans and metrics of requests are those of OpenTelemetry's own instrumentation for FastAPI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from opentelemetry import baggage
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_trace_id, get_current_span
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Message

from reelbench.service.telemetry import MeasuredApp
from reelbench.telemetry.tracer import RecordingTracerProvider

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {
    "traceparent": f"00-{TRACE}-{PARENT}-01",
    "tracestate": "a=1,b=2",
    "baggage": "run_id=r1,scenario=s%20t,case=c",
    "user-agent": "client/1.0",
    "host": "example.org",
}


@dataclass(frozen=True)
class Asked:
    """One request, as a server hands it to an application."""

    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = tuple(SENT.items())
    query: str = ""
    body: tuple[bytes, ...] = (b"",)
    whole: bool = True
    """False: the client disconnects in the middle of the body."""
    server: tuple[str, int] | None = ("127.0.0.1", 8000)
    client: tuple[str, int] | None = ("127.0.0.1", 5000)


REQUESTS = {
    "a route": Asked("/plain"),
    "a route with a parameter": Asked("/items/7"),
    "a route of a router": Asked("/under/items/7/parts/8"),
    "a query": Asked("/plain", query="a=1&b=%20"),
    "a head": Asked("/starlette", "HEAD"),
    "a body": Asked("/body", "POST", (("content-length", "6"),), body=(b"abc", b"def")),
    "a body of another length than declared": Asked("/body", "POST", (("content-length", "no"),), body=(b"abc",)),
    "an empty body": Asked("/plain", headers=(("content-length", "0"),)),
    "no headers": Asked("/plain", headers=()),
    "an unsampled parent": Asked("/plain", headers=(("traceparent", f"00-{TRACE}-{PARENT}-00"),)),
    "a wrong parent": Asked("/plain", headers=(("traceparent", "00-0-0-01"), ("baggage", ";;,=,a"))),
    "no such path": Asked("/nothing/here", headers=()),
    "the path for another method": Asked("/items/7", "DELETE"),
    "an unknown method": Asked("/plain", "BREW"),
    "a method in lower case": Asked("/plain", "get"),
    "a bot": Asked("/plain", headers=(("user-agent", "Mozilla GoogleBot"),)),
    "a test": Asked("/plain", headers=(("user-agent", "googlebot AlwaysOn"), ("user-agent", "second"))),
    "an agent that is no UTF-8": Asked("/plain", headers=(("user-agent", "agent\xff"),)),
    "no client": Asked("/plain", client=None),
    "no server": Asked("/plain", server=None),
    "the usual port": Asked("/plain", server=("10.0.0.1", 80)),
    "an invalid value": Asked("/items/text"),
    "an error of the client": Asked("/status/404"),
    "an error of the server": Asked("/status/503"),
    "a redirection": Asked("/status/302"),
    "an exception": Asked("/fails"),
    "an exception of a middleware": Asked("/plain", headers=(("x-fail", "1"),)),
    "a stream": Asked("/stream"),
    "a probe": Asked("/health"),
    "a fault plan": Asked("/faults"),
    "a client that disconnects": Asked("/body", "POST", (("content-length", "6"),), body=(b"abc",), whole=False),
    "a cancelled request": Asked("/cancelled"),
    "no final part": Asked("/unfinished"),
    "work after the final part": Asked("/late"),
}


class Failing:
    """A middleware that fails at requests with a certain header."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if any(name == b"x-fail" for name, _ in scope.get("headers", ())):
            raise RuntimeError("in a middleware")
        await self.app(scope, receive, send)


def application(made: FastAPI) -> FastAPI:
    """Add the routes to an application."""
    add_answers(made)
    add_failures(made)
    add_odd_routes(made)
    made.add_middleware(Failing)
    return made


def add_answers(made: FastAPI) -> None:

    @made.get("/plain")
    async def plain() -> Response:
        return PlainTextResponse("ok")

    @made.get("/items/{number}")
    async def item(number: int) -> dict[str, int]:
        return {"number": number}

    @made.post("/body")
    async def body(request: Request) -> dict[str, Any]:
        context = get_current_span().get_span_context()
        trace = format_trace_id(context.trace_id) if context.is_valid and request.headers.get("baggage") else ""
        return {"size": len(await request.body()), "baggage": dict(baggage.get_all()), "trace": trace}

    @made.get("/status/{status}")
    async def status(status: int) -> Response:
        return Response("x", status)

    @made.get("/health")
    async def health() -> Response:
        return PlainTextResponse("ok")


def add_failures(made: FastAPI) -> None:
    @made.get("/fails")
    async def fails() -> Response:
        raise ValueError("no luck")

    @made.get("/cancelled")
    async def cancelled() -> Response:
        raise asyncio.CancelledError

    @made.get("/stream")
    async def stream() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"part"

        return StreamingResponse(parts())

    @made.get("/breaks")
    async def breaks() -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"part"
            raise ValueError("in the middle")

        return StreamingResponse(parts())


def add_odd_routes(made: FastAPI) -> None:
    async def starlette(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def unfinished(_: Request) -> Any:
        async def answer(_scope: Any, _receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        return answer

    async def late(_: Request) -> Any:
        async def answer(_scope: Any, _receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
            await send({"type": "http.response.debug", "body": get_current_span().is_recording()})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            await send({"type": "http.response.debug", "body": get_current_span().is_recording()})

        return answer

    router = APIRouter()

    @router.get("/items/{number}/parts/{part}")
    async def part(number: int, part: int) -> dict[str, int]:
        return {"number": number, "part": part}

    made.include_router(router, prefix="/under")
    made.add_route("/starlette", starlette)
    made.add_route("/faults", starlette)
    made.add_route("/unfinished", unfinished)
    made.add_route("/late", late)

    @made.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return PlainTextResponse(f"failed: {error}", 500)


class Recorded:
    """An application, and what its telemetry says."""

    def __init__(
        self, make: Callable[[Any, MeterProvider], FastAPI], tracers: Callable[[SpanProcessor], Any] | None = None
    ) -> None:
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.app = make((tracers or official_tracers)(SimpleSpanProcessor(self.spans)), MeterProvider([self.reader]))
        self.answers: list[tuple[str, object]] = []
        self.during: dict[str, Any] = {}
        """The points when the last part of the last answer was sent."""

    def ask(self, asked: Asked) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": asked.method,
            "scheme": "http",
            "path": asked.path,
            "raw_path": asked.path.encode(),
            "query_string": asked.query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in asked.headers],
            "server": asked.server,
            "client": asked.client,
            "state": {},
        }
        last = len(asked.body) - 1 if asked.whole else len(asked.body)
        parts = [{"type": "http.request", "body": b, "more_body": n < last} for n, b in enumerate(asked.body)]

        async def receive() -> Message:
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.during = self.points()
            self.answers.append((message["type"], message.get("status", message.get("body"))))

        async def run() -> None:
            try:
                await self.app(scope, receive, send)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - compared below
                self.answers.append(("raised", repr(error)))

        asyncio.run(run())

    def shown(self) -> list[dict[str, Any]]:
        return [
            {
                "name": span.name,
                "kind": span.kind,
                "trace": span.context.trace_id if span.parent else None,
                "state": dict(span.context.trace_state),
                "parent": span.parent and (span.parent.span_id, span.parent.is_remote),
                "attributes": dict(span.attributes or {}),
                "status": (span.status.status_code, span.status.description),
                "events": [
                    (
                        event.name,
                        {k: v for k, v in (event.attributes or {}).items() if k != "exception.stacktrace"},
                        "Traceback" in str((event.attributes or {}).get("exception.stacktrace")),
                    )
                    for event in span.events
                ],
                "links": list(span.links),
            }
            for span in self.spans.get_finished_spans()
        ]

    def points(self) -> dict[str, Any]:
        data: Any = self.reader.get_metrics_data()
        found: dict[str, Any] = {}
        for metric in (m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics) if data else ():
            points = {
                frozenset(point.attributes.items()): (
                    (point.count, point.sum if metric.unit == "By" else None, tuple(point.explicit_bounds))
                    if hasattr(point, "explicit_bounds")
                    else point.value
                )
                for point in metric.data.data_points
            }
            found[metric.name] = metric.unit, metric.description, type(metric.data), points
        return found


def official_tracers(processor: SpanProcessor) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(processor)
    return provider


def own_tracers(processor: SpanProcessor) -> RecordingTracerProvider:
    return RecordingTracerProvider(Resource.create(), [processor])


def theirs(tracers: TracerProvider, meters: MeterProvider) -> FastAPI:
    app = application(FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False}))
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=tracers,
        meter_provider=meters,
        exclude_spans=["receive", "send"],
        excluded_urls="/health$,/faults$",
    )
    return app


def ours(tracers: Any, meters: MeterProvider) -> FastAPI:
    return application(MeasuredApp(tracer_provider=tracers, meter_provider=meters))


@pytest.mark.extended
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("tracers", [official_tracers, own_tracers])
def test_a_request_has_the_span_and_the_series_of_the_official_instrumentation(name: str, tracers: Any) -> None:
    mine, official = Recorded(ours, tracers), Recorded(theirs)
    for one in (mine, official):
        one.ask(REQUESTS[name])
    assert mine.answers == official.answers
    assert mine.answers
    assert mine.shown() == official.shown()
    assert mine.points() == official.points()


def test_the_span_ends_with_the_final_part_of_the_answer() -> None:
    mine = Recorded(ours)
    mine.ask(REQUESTS["work after the final part"])
    assert [said for kind, said in mine.answers if kind == "http.response.debug"] == [True, False]


def test_an_exception_after_the_start_of_the_answer_is_recorded_once() -> None:
    """The official instrumentation records it twice."""
    mine = Recorded(ours)
    mine.ask(Asked("/breaks"))
    (span,) = mine.shown()
    assert [(name, attributes["exception.message"]) for name, attributes, _ in span["events"]] == [
        ("exception", "in the middle")
    ]
    assert span["status"] == (StatusCode.ERROR, "ValueError: in the middle")
    assert span["attributes"]["http.response.status_code"] == 200


def test_the_size_of_an_answer_without_a_length_is_not_that_of_another_answer() -> None:
    """The official instrumentation records the length of the answer before."""
    mine = Recorded(ours)
    mine.ask(REQUESTS["a route"])
    mine.ask(REQUESTS["a stream"])
    *_, points = mine.points()["http.server.response.body.size"]
    assert {dict(labels)["http.route"]: size[1] for labels, size in points.items()} == {"/plain": 2}


def test_requests_in_flight_are_counted() -> None:
    mine = Recorded(ours)
    mine.ask(REQUESTS["a route"])
    *_, during = mine.during["http.server.active_requests"]
    *_, after = mine.points()["http.server.active_requests"]
    assert list(during.values()) == [1]
    assert list(after.values()) == [0]


def test_telemetry_of_fastapi_itself_is_off() -> None:
    mine = Recorded(ours)
    mine.ask(REQUESTS["an invalid value"])
    assert [span["name"] for span in mine.shown()] == ["GET /items/{number}"]
    assert {scope for span in mine.spans.get_finished_spans() if (scope := span.instrumentation_scope.name)} == {
        "reelbench.telemetry.http_server"
    }


def test_without_providers_a_request_passes_its_context_on() -> None:
    app = application(MeasuredApp())
    one = Recorded(lambda _tracers, _meters: app)
    one.ask(REQUESTS["a body"])
    assert one.answers == [
        ("http.response.start", 200),
        ("http.response.body", b'{"size":6,"baggage":{},"trace":""}'),
    ]
    one.answers.clear()
    one.ask(Asked("/body", "POST"))
    expected = f'{{"size":0,"baggage":{{"run_id":"r1","scenario":"s t","case":"c"}},"trace":"{TRACE}"}}'.encode()
    assert one.answers[1] == ("http.response.body", expected)
