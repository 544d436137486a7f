"""Requests on their way to a server: spans, measurements, redirects, and the connections to other servers of files."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.http.trace_headers import traceparent
from reelbench.loadgen.http.transport import (
    SILENCE_SECONDS,
    EnoughError,
    Request,
    Transport,
    TransportError,
    open_transport,
)
from reelbench.loadgen.target.answer import Answer
from reelbench.loadgen.target.api import Operation
from reelbench.loadgen.target.error_text import one_line
from reelbench.loadgen.target.links import (
    MAX_HOPS,
    PERMANENT,
    REDIRECTS,
    Address,
    LinkError,
    Reach,
    address,
    joined,
    next_call,
)

MAX_SERVERS: Final = 16
"""Servers of files to which connections are kept."""


class Exchange(msgspec.Struct, frozen=True):
    """Measurement of one HTTP request and its answer, with the redirects in between."""

    operation: str
    sent: float
    duration: float
    """Seconds from sending to the last byte of the answer, including the wait for a connection."""
    status: int | None
    bytes: int
    """Size of the answer's body."""


class Call(msgspec.Struct, frozen=True):
    """Trace context of a request and the observer of its measurement."""

    context: Context
    """Contains the parent span."""
    observe: Callable[[Exchange], None]
    traceparent: str | None = None
    """Header for a request without a span of its own, such as a poll; empty: no header; None: the request gets a span.
    """
    baggage: str = ""
    """Header; empty: no header."""
    send_rate: int | None = None
    """Bytes per second of a client that sends slowly."""
    read_rate: int | None = None
    """Bytes per second of a client that reads slowly."""


UNTRACED: Final = Call(context=Context(), observe=lambda _: None, traceparent="")
"""For requests that are part of no job."""


class Wire:
    """The connections to one server, and to the servers that it names for its files."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        clock: Clock,
        tracer: Tracer,
        credentials: Credentials,
        dial: tuple[str, int] | None = None,
    ) -> None:
        """Prepare a pool without connecting.

        Args:
            url: scheme, host and port of the server.
            connections: size of the pool; must cover all jobs in flight, else requests wait for a connection.
            clock: source of all timestamps.
            tracer: creates the CLIENT spans.
            credentials: what the server gets with each request; other servers get no secret of them.
            dial: host and port to connect to instead of those of the server: a TCP proxy before it.
        """
        self._url = url
        self._dial = dial
        self._home = address(url)
        self._origin = self._home.origin
        self._connections = connections
        self._clock = clock
        self._tracer = tracer
        self._credentials = credentials
        self._clean = credentials.clean
        self._transport: Transport | None = None
        self._others: dict[str, Transport] = {}
        self._reach = Reach(self._home.host)

    def open(self) -> None:
        """Open the pool, in a running loop."""
        self._transport = open_transport(self._url, self._connections, self._credentials, dial=self._dial)

    async def close(self) -> None:
        """Close all connections."""
        for transport in (self._transport, *self._others.values()):
            if transport is not None:
                await transport.close()

    @property
    def origin(self) -> str:
        """Scheme, host and port of the server; after a permanent redirect from http to https, the new ones."""
        return self._home.origin

    def link(self, text: str) -> Address:
        """Return the address of a link in an answer of the server.

        Raises:
            LinkError: it is no address with http or https.
        """
        return joined(self._home, text)

    async def send(
        self,
        call: Call,
        operation: Operation,
        path: str,
        answer: Answer,
        *,
        route: str = "",
        media_type: str = "",
        body: tuple[bytes, ...] = (),
        silence: float = SILENCE_SECONDS,
        place: Address | None = None,
    ) -> None:
        """Send a request and receive its answer; errors are in the answer.

        Args:
            call: trace context and observer.
            operation: name and method.
            path: path below the host, percent-encoded, with query.
            answer: receives the answer.
            route: the path with placeholders, for the span.
            media_type: of the body.
            body: parts of the body.
            silence: longest silence of the server in seconds.
            place: another server of the file; None: the server itself.
        """
        answer.clean = self._clean
        headers = {"Content-Type": media_type} if media_type else {}
        if call.baggage:
            headers["baggage"] = call.baggage
        request = Request(operation.method, path, headers, body, silence, call.send_rate, call.read_rate)
        if call.traceparent is not None:
            if call.traceparent:
                headers["traceparent"] = call.traceparent
            await self._exchange(call, operation, request, answer, place)
            return
        span = self._tracer.start_span(
            f"{operation.method} {route}",
            context=call.context,
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": operation.method,
                "url.full": (place.origin if place is not None else self._origin) + path.partition("?")[0],
                "url.template": route,
            },
        )
        try:
            if parent := traceparent(span.get_span_context()):
                headers["traceparent"] = parent
            await self._exchange(call, operation, request, answer, place)
            if answer.status is not None:
                span.set_attribute("http.response.status_code", answer.status)
            if answer.status is None or answer.status >= HTTPStatus.BAD_REQUEST:
                span.set_attribute("error.type", str(answer.status or "no_answer"))
                span.set_status(StatusCode.ERROR, answer.error)
        finally:
            span.end()

    async def _exchange(
        self, call: Call, operation: Operation, request: Request, answer: Answer, place: Address | None
    ) -> None:
        assert self._transport is not None, "the pool is open"
        sent = self._clock.now()
        try:
            if place is None:
                await self._transport.exchange(request, answer)
            else:
                await self._elsewhere(place, request, answer)
            if answer.headers and answer.seen in REDIRECTS and "location" in answer.headers:
                at = place or msgspec.structs.replace(self._home, path=request.path)
                await self._follow(at, request, answer, is_file=operation.name == "content")
            answer.status = answer.seen
        except (EnoughError, LinkError) as enough:
            answer.status, answer.error = answer.seen or None, self._credentials.clean(str(enough))
        except TransportError as problem:
            answer.error = one_line(answer.clean(str(problem)))
        finally:
            call.observe(Exchange(operation.name, sent, self._clock.now() - sent, answer.status, answer.size))

    async def _follow(self, at: Address, request: Request, answer: Answer, *, is_file: bool) -> None:
        """Follow the redirects of an answer.

        Raises:
            LinkError: a redirect that is not followed, or too many of them.
        """
        for _ in range(MAX_HOPS):
            status, location = answer.seen, answer.headers["location"]
            to = joined(at, location) if is_file else next_call(at, status, location, request.method)
            await self._elsewhere(to, request, answer)
            if status in PERMANENT and self._home.same_server(at) and at.upgrades(to) and at.path == to.path:
                self._move(to)
            at = to
            if answer.seen not in REDIRECTS or "location" not in answer.headers:
                return
        raise LinkError(f"more than {MAX_HOPS} redirects")

    async def _elsewhere(self, place: Address, request: Request, answer: Answer) -> None:
        """Send a request to an address; another server gets it without our headers and never with a key."""
        if place.same_server(self._home):
            assert self._transport is not None, "the pool is open"
            await self._transport.exchange(msgspec.structs.replace(request, path=place.path), answer)
            return
        trusted = self._home.upgrades(place)
        if not trusted:
            await self._reach.check(place)
        headers = request.headers if trusted else {}
        request = msgspec.structs.replace(request, path=place.path, headers=headers)
        await (await self._other(place.origin)).exchange(request, answer)

    async def _other(self, origin: str) -> Transport:
        if origin not in self._others:
            if len(self._others) == MAX_SERVERS:
                raise LinkError(f"files are on more than {MAX_SERVERS} servers")
            self._others[origin] = open_transport(origin, self._connections, self._credentials)
        return self._others[origin]

    def _move(self, to: Address) -> None:
        """Send later requests to the address that a permanent redirect named."""
        assert self._transport is not None, "the pool is open"
        self._others[self._home.origin], self._transport = self._transport, self._others.pop(to.origin)
        self._home = msgspec.structs.replace(to, path="/")
        self._origin = self._home.origin
