"""SERVER spans and metrics of HTTP requests, by the stable HTTP semantic conventions of OpenTelemetry.

Spans, attributes and series are those of the package opentelemetry-instrumentation-fastapi, as a test checks. That
package took half of the CPU time of a call of a mock provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from re import Pattern
from time import perf_counter
from typing import Any, Final

from opentelemetry import propagate
from opentelemetry.context import Context, attach, detach
from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span, set_span_in_context
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelbench.telemetry.bound import Series
from reelbench.telemetry.registry import Instruments

METRICS_FILE = Path(__file__).with_name("http_server.yaml")
_METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"),
)
_SYNTHETIC: Final = {"alwayson": "test", "googlebot": "bot", "bingbot": "bot"}
"""Words of user agents to the type of these agents, the first that fits."""
_ATTRIBUTES: Final = (
    "http.request.method",
    "url.scheme",
    "network.protocol.version",
    "http.route",
    "http.response.status_code",
    "error.type",
)
"""Attributes of the histograms."""
_HTTP_PORT, _FAILED = 80, 500


class ServerTelemetry:
    """ASGI middleware around a whole application: a span, the duration and the sizes of the bodies of each request.

    Args:
        app: The application, with the middleware that answers after an exception.
        routes: Return the routes of the application, with paths that begin at the root.
        tracer: Makes the spans.
        meter: Makes the instruments.
        unmeasured: Ends of paths whose requests are neither traced nor counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Callable[[], Iterable[BaseRoute]],
        *,
        tracer: Tracer,
        meter: Meter,
        unmeasured: tuple[str, ...] = (),
    ) -> None:
        made = Instruments(meter, METRICS_FILE)
        self._app = app
        self._routes = Routes(routes)
        self._tracer = tracer
        self._unmeasured = unmeasured
        self._active = Series(made.up_down_counter("http.server.active_requests"), *_ATTRIBUTES[:2])
        self._duration = Series(made.histogram("http.server.request.duration"), *_ATTRIBUTES)
        self._received = Series(made.histogram("http.server.request.body.size"), *_ATTRIBUTES)
        self._sent = Series(made.histogram("http.server.response.body.size"), *_ATTRIBUTES)
        self._propagated = frozenset(name.lower().encode() for name in propagate.get_global_textmap().fields)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on inside its span."""
        if scope["type"] != "http" or scope["path"].endswith(self._unmeasured):
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        original = scope["method"].strip()
        method = original.upper() if original.upper() in _METHODS else "_OTHER"
        route = self._routes.find(scope)
        parent, agent, received = self._headers(scope)
        span = self._tracer.start_span(
            _name(method, route),
            parent,
            SpanKind.SERVER,
            _span_attributes(scope, original, method, route, agent),
        )
        context = set_span_in_context(span, parent)
        active = self._active.at((method, scope["scheme"]))
        active.record(1, context)
        answer = _Answer(send, span)
        token = attach(context)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            detach(token)
            failed = answer.status is not None and answer.status >= _FAILED
            error = str(answer.status) if failed else None
            series = method, scope["scheme"], scope.get("http_version"), route, answer.status, error
            self._duration.at(series).record(perf_counter() - started, context)
            active.record(-1, context)
            if answer.size is not None:
                self._sent.at(series).record(answer.size, context)
            if received is not None:
                self._received.at(series).record(received, context)
            if span.is_recording():  # no whole answer was sent
                span.end()

    def _headers(self, scope: Scope) -> tuple[Context, str | None, int | None]:
        """Return the context that the caller sent, its user agent, and the declared size of the body."""
        carrier: dict[str, list[str]] = {}
        agent, size = None, None
        for name, value in scope["headers"]:
            if name in self._propagated:
                carrier.setdefault(name.decode(), []).append(_text(value))
            elif name == b"user-agent":
                agent = agent or _text(value)
            elif name == b"content-length":
                size = _size(value)
        return propagate.extract(carrier), agent, size


class RecordExceptions:
    """ASGI middleware below the one that answers after an exception: puts the exception on the request's span.

    The span ends with the answer, before the exception arrives at `ServerTelemetry`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            span = get_current_span()
            if span.is_recording():
                span.record_exception(error)
                span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
            raise


class Routes:
    """The template of the path of a request; `routes` is called at the first request."""

    def __init__(self, routes: Callable[[], Iterable[BaseRoute]]) -> None:
        self._routes = routes
        self._table: Sequence[tuple[Pattern[str], frozenset[str], str]] | None = None

    def find(self, scope: Scope) -> str | None:
        """Return the template of the route that answers, or else of one with the same path for other methods."""
        if self._table is None:
            self._table = [
                (regex, frozenset(getattr(route, "methods", None) or ()), getattr(route, "path", ""))
                for route in self._routes()
                if (regex := getattr(route, "path_regex", None)) is not None
            ]
        path, method, found = scope["path"], scope["method"], None
        for regex, methods, template in self._table:
            if regex.match(path):
                if not methods or method in methods:
                    return template
                found = template
        return found


class _Answer:
    """The answer to one request while it is sent; the span ends with its last part."""

    __slots__ = ("_send", "_span", "size", "status")

    def __init__(self, send: Send, span: Span) -> None:
        self._send = send
        self._span = span
        self.status: int | None = None
        self.size: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a part on, and note what it says."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = status = message["status"]
            self.size = next((_size(value) for name, value in message["headers"] if name == b"content-length"), None)
            span = self._span
            if span.is_recording():
                span.set_attribute("http.response.status_code", status)
                if status >= _FAILED:
                    span.set_attribute("error.type", str(status))
                    span.set_status(StatusCode.ERROR)
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body", False):
            self._span.end()


def _name(method: str, route: str | None) -> str:
    shown = "HTTP" if method == "_OTHER" else method
    return f"{shown} {route}" if route else shown


def _span_attributes(scope: Scope, original: str, method: str, route: str | None, agent: str | None) -> dict[str, Any]:
    host, port = scope.get("server") or ("0.0.0.0", _HTTP_PORT)  # noqa: S104 - what is recorded, not an address to bind
    attributes: dict[str, Any] = {
        "url.scheme": scope["scheme"],
        "server.address": host if port in {None, _HTTP_PORT} else f"{host}:{port}",
        "url.path": scope["path"],
        "http.request.method": method,
    }
    if port:
        attributes["server.port"] = port
    if version := scope.get("http_version"):
        attributes["network.protocol.version"] = version
    if query := scope.get("query_string"):
        attributes["url.query"] = query.decode(errors="replace")
    if original != method:
        attributes["http.request.method_original"] = original
    if agent:
        attributes["user_agent.original"] = agent
        if kind := _synthetic(agent):
            attributes["user_agent.synthetic.type"] = kind
    if client := scope.get("client"):
        attributes["client.address"], attributes["client.port"] = client
    if route:
        attributes["http.route"] = route
    return attributes


@lru_cache(maxsize=256)
def _synthetic(agent: str) -> str | None:
    lower = agent.lower()
    return next((kind for word, kind in _SYNTHETIC.items() if word in lower), None)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _size(value: bytes) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None
