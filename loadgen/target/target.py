"""Client of the service under test: the OpenAI Videos API, with spans and timings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Self, TypeVar
from urllib.parse import quote

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode, Tracer

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.document import Document, Form
from reelbench.loadgen.http.trace_headers import traceparent
from reelbench.loadgen.http.transport import EnoughError, Request, Transport, TransportError, open_transport
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.target import api
from reelbench.loadgen.target.answer import Answer, Content, FileSink, Reply, one_line
from reelbench.loadgen.target.api import DeletedVideo, Manifest, Video, VideoList

T = TypeVar("T")

CHECK_SECONDS: Final = 10.0
NOT_OFFERED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
"""Statuses of an operation that the target does not have."""


class TargetError(Exception):
    """The target is not there or does not speak the API; the message is one sentence with the cure."""


class Exchange(msgspec.Struct, frozen=True):
    """Measurement of one HTTP request and its answer."""

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


UNTRACED: Final = Call(context=Context(), observe=lambda _: None, traceparent="")
"""For requests that are part of no job."""


class Target:
    """A client with one connection pool; use as an asynchronous context manager."""

    def __init__(self, url: str, *, connections: int, clock: Clock, tracer: Tracer) -> None:
        """Prepare a client.

        Args:
            url: base URL, without ``/v1``.
            connections: size of the pool; must cover all jobs in flight, else requests wait for a connection.
            clock: source of all timestamps.
            tracer: creates the CLIENT spans.
        """
        self._url = url.rstrip("/")
        self._connections = connections
        self._clock = clock
        self._tracer = tracer
        self._form = Form()
        self._transport: Transport | None = None
        self._has_wait: bool | None = None
        """Whether the target has ``/wait``; None until the first use."""

    async def __aenter__(self) -> Self:
        self._transport = open_transport(self._url, self._connections)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            await self._transport.close()

    async def create(self, job: PlannedJob, upload: Document | None, call: Call) -> Reply[Video]:
        """Submit a job; a form carries the file, if there is one."""
        fields = {"prompt": job.prompt, "seconds": job.seconds, "size": job.size}
        body: tuple[bytes, ...]
        if job.encoding == "json":
            media_type, body = "application/json", (msgspec.json.encode(fields),)
        else:
            media_type, body = self._form.media_type, self._form.encode(fields, "input_reference", upload)
        return await self._read(Video, call, api.CREATE, api.CREATE.path(), media_type=media_type, body=body)

    async def retrieve(self, video_id: str, call: Call) -> Reply[Video]:
        """Return the current state of a video."""
        return await self._read(Video, call, api.RETRIEVE, api.RETRIEVE.path(video_id))

    async def poll(self, video_id: str, seconds: float, call: Call) -> Reply[Video]:
        """Return the state of a video: once it is terminal or after `seconds`, at once if the target has no ``/wait``.

        The first use finds out: without a video from ``/wait``, the state is read by a plain request.
        """
        if self._has_wait is False:
            return await self.retrieve(video_id, call)
        reply = await self._read(Video, call, api.WAIT, f"{api.WAIT.path(video_id)}?timeout={seconds:.3f}")
        if reply.value is not None:
            self._has_wait = True
        if self._has_wait or (reply.transient and reply.status not in NOT_OFFERED):
            return reply
        # Servers answer an unknown path with 404, but also with 403 or with 200 and HTML.
        plain = await self.retrieve(video_id, call)
        if plain.value is not None:  # the video exists, so /wait does not
            self._has_wait = False
        return plain

    async def list(self, call: Call, *, limit: int = 20, after: str | None = None) -> Reply[VideoList]:
        """Return one page of videos, newest first."""
        position = f"&after={quote(after, safe='')}" if after else ""
        return await self._read(VideoList, call, api.LIST, f"{api.LIST.path()}?limit={limit}&order=desc{position}")

    async def manifest(self, video_id: str, call: Call) -> Reply[Manifest]:
        """Return the manifest of a video."""
        return await self._read(Manifest, call, api.MANIFEST, api.MANIFEST.path(video_id))

    async def delete(self, video_id: str, call: Call) -> Reply[DeletedVideo]:
        """Delete a video."""
        return await self._read(DeletedVideo, call, api.DELETE, api.DELETE.path(video_id))

    async def cancel(self, video_id: str, call: Call) -> Reply[DeletedVideo]:
        """Delete a video to stop its job; recorded as an operation of its own."""
        return await self._read(DeletedVideo, call, api.CANCEL, api.CANCEL.path(video_id))

    async def asset(self, video_id: str, name: str, call: Call) -> Reply[Content]:
        """Download one file of the manifest; only size and checksum are kept."""
        answer = Answer(keep=False, checksum=True)
        await self._send(call, api.ASSET, api.ASSET.path(video_id, name), answer)
        return answer.file()

    async def content(
        self, video_id: str, call: Call, *, checksum: bool = True, sink: FileSink | None = None
    ) -> Reply[Content]:
        """Download a video; only its size is kept, and its checksum where one is needed; the sink gets its bytes."""
        answer = Answer(keep=False, checksum=checksum, sink=sink)
        await self._send(call, api.CONTENT, api.CONTENT.path(video_id), answer)
        reply = answer.file()
        if reply.value is None:
            return reply
        if not answer.media_type.startswith(("video/", "application/octet-stream")):
            return Reply(answer.status, error=f"content is {answer.media_type or 'of no type'}, not a video")
        if answer.size == 0:
            return Reply(answer.status, error="content is empty")
        return reply

    async def check(self) -> None:
        """Check that the target answers and speaks the API.

        Raises:
            TargetError: no answer, or no list of videos.
        """
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                reply = await self.list(UNTRACED, limit=1)
        except TimeoutError:
            reply = Reply(None, error=f"time-out after {CHECK_SECONDS:g} s")
        if reply.status is None:
            raise TargetError(
                f"target {self._url} gives no HTTP answer ({reply.error}); start the service or correct --target"
            )
        if reply.value is None:
            raise TargetError(
                f"target {self._url} does not speak the OpenAI Videos API: GET /v1/videos?limit=1 gave "
                f"{reply.error}; correct --target"
            )

    async def _read(
        self,
        kind: type[T],
        call: Call,
        operation: api.Operation,
        path: str,
        *,
        media_type: str = "",
        body: tuple[bytes, ...] = (),
    ) -> Reply[T]:
        answer = Answer()
        await self._send(call, operation, path, answer, media_type=media_type, body=body)
        return answer.record(kind)

    async def _send(
        self,
        call: Call,
        operation: api.Operation,
        path: str,
        answer: Answer,
        *,
        media_type: str = "",
        body: tuple[bytes, ...] = (),
    ) -> None:
        headers = {"Content-Type": media_type} if media_type else {}
        if call.baggage:
            headers["baggage"] = call.baggage
        request = Request(operation.method, path, headers, body)
        if call.traceparent is not None:
            if call.traceparent:
                headers["traceparent"] = call.traceparent
            await self._exchange(call, operation, request, answer)
            return
        route = api.ROOT + operation.template
        span = self._tracer.start_span(
            f"{operation.method} {route}",
            context=call.context,
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": operation.method,
                "url.full": self._url + path.partition("?")[0],
                "url.template": route,
            },
        )
        try:
            if parent := traceparent(span.get_span_context()):
                headers["traceparent"] = parent
            await self._exchange(call, operation, request, answer)
            if answer.status is not None:
                span.set_attribute("http.response.status_code", answer.status)
            if answer.status is None or answer.status >= HTTPStatus.BAD_REQUEST:
                span.set_attribute("error.type", str(answer.status or "no_answer"))
                span.set_status(StatusCode.ERROR, answer.error)
        finally:
            span.end()

    async def _exchange(self, call: Call, operation: api.Operation, request: Request, answer: Answer) -> None:
        assert self._transport is not None, "use Target as a context manager"
        sent = self._clock.now()
        try:
            await self._transport.exchange(request, answer)
            answer.status = answer.seen
        except EnoughError as enough:
            answer.status, answer.error = answer.seen, str(enough)
        except TransportError as problem:
            answer.error = one_line(str(problem))
        finally:
            call.observe(Exchange(operation.name, sent, self._clock.now() - sent, answer.status, answer.size))


async def check_target(url: str) -> None:
    """Check, before anything is started, that a target answers and speaks the API.

    Raises:
        TargetError: as `Target.check`.
    """
    async with Target(url, connections=1, clock=Clock.start(), tracer=NoOpTracer()) as target:
        await target.check()
