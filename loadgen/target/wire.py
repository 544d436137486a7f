"""Requests on their way to a server: spans, measurements, redirects, and the connections to other servers of files."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.loadgen.http.transport import (
    SILENCE_SECONDS,
    EnoughError,
    Request,
    Transport,
    TransportError,
    header_line,
    open_transport,
)
from reelbench.loadgen.record.foreign_text import one_line
from reelbench.loadgen.target.answer import Answer
from reelbench.loadgen.target.api import Endpoint
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


class Observer(Protocol):
    """Receiver of the measurement of one HTTP request and its answer, with the redirects in between."""

    def __call__(self, operation: str, sent: float, duration: float, status: int | None, size: int, /) -> None:
        """Receive a measurement.

        Args:
            operation: as in ``requests.jsonl``.
            sent: when it was sent.
            duration: seconds from sending to the last byte of the answer, including the wait for a connection.
            status: of the answer; None: no complete answer.
            size: bytes of the answer's body.
        """


class Call(msgspec.Struct, frozen=True):
    """The trace that a request belongs to, and the observer of its measurement."""

    observe: Observer
    trace: JobTrace | None = None
    """None: the request is part of no trace."""
    headers: str = ""
    """Headers of all requests of the job, as `Request.headers`."""
    send_rate: int | None = None
    """Bytes per second of a client that sends slowly."""
    read_rate: int | None = None
    """Bytes per second of a client that reads slowly."""
    polls: bool = False
    """Whether the request gets no span of its own, as a poll."""


UNTRACED: Final = Call(observe=lambda *_: None)
"""For requests that are part of no job."""


class Wire:
    """The connections to one server, and to the servers that it names for its files."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        clock: Clock,
        credentials: Credentials,
        dial: tuple[str, int] | None = None,
    ) -> None:
        """Prepare a pool without connecting.

        Args:
            url: scheme, host and port of the server.
            connections: size of the pool; must cover all jobs in flight, else requests wait for a connection.
            clock: source of all timestamps.
            credentials: what the server gets with each request; other servers get no secret of them.
            dial: host and port to connect to instead of those of the server: a TCP proxy before it.
        """
        self._url = url
        self._dial = dial
        self._home = address(url)
        self._origin = self._home.origin
        self._connections = connections
        self._clock = clock
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
        endpoint: Endpoint,
        path: str,
        answer: Answer,
        *,
        media_type: str = "",
        body: tuple[bytes, ...] = (),
        silence: float = SILENCE_SECONDS,
        place: Address | None = None,
    ) -> None:
        """Send a request and receive its answer; errors are in the answer.

        Args:
            call: trace and observer.
            endpoint: name, method and route.
            path: path below the host, percent-encoded, with query.
            answer: receives the answer.
            media_type: of the body.
            body: parts of the body.
            silence: longest silence of the server in seconds.
            place: another server of the file; None: the server itself.
        """
        answer.clean = self._clean
        headers, span, trace = call.headers, None, call.trace
        if media_type:
            headers += header_line("Content-Type", media_type)
        if trace is not None:
            if call.polls:
                header = trace.polled
            else:
                origin = self._origin if place is None else place.origin
                header, span = trace.request(endpoint.method, endpoint.route, origin, path)
            if header:
                headers += f"traceparent: {header}\r\n"
        request = Request(endpoint.method, path, headers, body, silence, call.send_rate, call.read_rate)
        now = self._clock.now
        sent = now()
        try:
            if place is None:
                assert self._transport is not None, "the pool is open"
                await self._transport.exchange(request, answer)
            else:
                await self._elsewhere(place, request, answer)
            if answer.headers and answer.seen in REDIRECTS and "location" in answer.headers:
                at = place or msgspec.structs.replace(self._home, path=request.path)
                await self._follow(at, request, answer, is_file=endpoint.name == "content")
            answer.status = answer.seen
        except (EnoughError, LinkError) as enough:
            answer.status, answer.error = answer.seen or None, self._credentials.clean(str(enough))
        except TransportError as problem:
            answer.error = one_line(answer.clean(str(problem)))
        finally:
            duration = now() - sent
            if span is not None:
                span.end(answer.status, answer.error)
            call.observe(endpoint.name, sent, duration, answer.status, answer.size)

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
        headers = request.headers if trusted else ""
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
