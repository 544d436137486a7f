"""The service under test, seen through the OpenAI Videos API."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode, Tracer

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.document import Document
from reelbench.loadgen.http.multipart import Form
from reelbench.loadgen.http.trace_headers import traceparent
from reelbench.loadgen.http.transport import NO_TYPE, EnoughError, Request, Transport, TransportError, open_transport
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.target.api_types import DeletedVideo, ErrorEnvelope, Manifest, Video, VideoList

MAX_ANSWER: Final = 16 * 1024 * 1024
"""Bytes of a JSON answer; more is not of this API. Video content has no limit and is never held in memory."""

CHECK_SECONDS: Final = 10.0

T = TypeVar("T")


class TargetError(Exception):
    """The target is not there or does not speak the API; the message is one sentence with the cure."""


class Exchange(msgspec.Struct, frozen=True):
    """One HTTP request and its answer, as measured."""

    operation: str
    sent: float
    duration: float
    """Seconds from sending to the last byte of the answer, with the wait for a connection."""
    status: int | None
    bytes: int
    """Bytes of the answer's body."""


class Call(msgspec.Struct, frozen=True):
    """The trace that a request belongs to, and who wants to know of it."""

    context: Context
    """Has the parent span."""
    observe: Callable[[Exchange], None]
    traceparent: str | None = None
    """The header of that name of a request without a span, such as a poll; empty: it has none; None: it has a span."""
    baggage: str = ""
    """The header of that name."""


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """The answer to a call: a value of the API, or one line about why there is none."""

    status: int | None
    value: T | None = None
    error: str | None = None
    code: str | None = None
    """The API's error code, if the answer was its error envelope."""


class Content(msgspec.Struct, frozen=True):
    """What is kept of a downloaded video."""

    bytes: int
    sha256: str | None
    """None: nobody asked for it."""


class _Answer:
    """Receives an answer: keeps its body if that is JSON or explains a refusal, else only its size and checksum."""

    __slots__ = ("_digest", "_keep", "_kept", "error", "media_type", "seen", "size", "status")

    def __init__(self, *, keep: bool, checksum: bool) -> None:
        self._keep = keep
        self._kept: list[bytes] = []
        self._digest = hashlib.sha256() if checksum else None
        self.seen = 0
        """Status in the head of the answer."""
        self.status: int | None = None
        """None without a whole answer: one that broke off is none."""
        self.media_type = NO_TYPE
        self.size = 0
        self.error: str | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self._kept)

    @property
    def content(self) -> Content:
        return Content(bytes=self.size, sha256=self._digest.hexdigest() if self._digest is not None else None)

    def head(self, status: int, media_type: str) -> None:
        self.seen, self.media_type = status, media_type
        self._keep = self._keep or status != 200  # noqa: PLR2004 - HTTP OK; anything else explains itself

    def data(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._keep:
            self._kept.append(chunk)
            if self.size > MAX_ANSWER:
                raise EnoughError(f"answer of more than {MAX_ANSWER} bytes")
        elif self._digest is not None:
            self._digest.update(chunk)


class Target:
    """A client with one connection pool; use as an asynchronous context manager."""

    def __init__(self, url: str, *, connections: int, clock: Clock, tracer: Tracer) -> None:
        """Prepare a client.

        Args:
            url: base URL, without ``/v1``.
            connections: size of the pool; must cover all jobs in flight, or they queue for connections here.
            clock: gives the instants of all exchanges.
            tracer: makes the CLIENT spans.
        """
        self._url = url.rstrip("/")
        self._connections = connections
        self._clock = clock
        self._tracer = tracer
        self._form = Form()
        self._transport: Transport | None = None
        self.long_poll = True
        """False once the target has shown that it has no ``/wait``."""

    async def __aenter__(self) -> Self:
        self._transport = open_transport(self._url, self._connections)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.close()

    async def create(self, job: PlannedJob, document: Document, call: Call) -> Reply[Video]:
        """Submit a job."""
        fields = {"prompt": job.prompt, "seconds": job.seconds, "size": job.size}
        body: tuple[bytes, ...]
        if job.encoding == "json":
            media_type, body = "application/json", (msgspec.json.encode(fields),)
        else:
            media_type, body = self._form.media_type, self._form.encode(fields, "input_reference", document)
        return await self._json(Video, call, "create", "POST", "", media_type=media_type, body=body)

    async def retrieve(self, video_id: str, call: Call) -> Reply[Video]:
        """Read the present state of a video."""
        return await self._json(Video, call, "retrieve", "GET", "/{video_id}", video_id)

    async def wait(self, video_id: str, seconds: float, call: Call) -> Reply[Video]:
        """Read the state of a video as soon as it is terminal, or after `seconds`."""
        return await self._json(
            Video, call, "wait", "GET", "/{video_id}/wait", video_id, query=f"?timeout={seconds:.3f}"
        )

    async def list(self, call: Call, *, limit: int = 20, after: str | None = None) -> Reply[VideoList]:
        """Read one page of videos, newest first."""
        place = f"&after={quote(after, safe='')}" if after else ""
        return await self._json(VideoList, call, "list", "GET", "", query=f"?limit={limit}&order=desc{place}")

    async def manifest(self, video_id: str, call: Call) -> Reply[Manifest]:
        """Read the manifest of a video."""
        return await self._json(Manifest, call, "manifest", "GET", "/{video_id}/manifest", video_id)

    async def delete(self, video_id: str, call: Call, operation: str = "delete") -> Reply[DeletedVideo]:
        """Remove a video; `operation` is "cancel" when that is meant to stop its job."""
        return await self._json(DeletedVideo, call, operation, "DELETE", "/{video_id}", video_id)

    async def asset(self, video_id: str, name: str, call: Call) -> Reply[Content]:
        """Download one file of the manifest; only its size and checksum are kept."""
        answer = await self._send(
            call, "asset", "GET", "/{video_id}/assets/{name}", video_id, name=name, keep=False, checksum=True
        )
        if answer.error is not None or answer.status != 200:  # noqa: PLR2004 - HTTP OK
            return _refusal(answer)
        return Reply(answer.status, answer.content)

    async def content(self, video_id: str, call: Call, *, checksum: bool = True) -> Reply[Content]:
        """Download a video; only its size is kept, and its checksum if there is something to compare it with."""
        answer = await self._send(
            call, "content", "GET", "/{video_id}/content", video_id, keep=False, checksum=checksum
        )
        if answer.error is not None or answer.status != 200:  # noqa: PLR2004 - HTTP OK
            return _refusal(answer)
        if not answer.media_type.startswith(("video/", "application/octet-stream")):
            return Reply(answer.status, error=f"content is {answer.media_type or 'of no type'}, not a video")
        if answer.size == 0:
            return Reply(answer.status, error="content is empty")
        return Reply(answer.status, answer.content)

    async def check(self) -> None:
        """Make sure that the target is there and speaks the API.

        Raises:
            TargetError: it does not answer, or not with a list of videos.
        """
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                reply = await self.list(Call(context=Context(), observe=lambda _: None, traceparent=""), limit=1)
        except TimeoutError:
            reply = Reply(None, error=f"time-out after {CHECK_SECONDS:g} s")
        if reply.status is None:
            msg = f"target {self._url} gives no HTTP answer ({reply.error}); start the service or correct --target"
            raise TargetError(msg)
        if reply.value is None:
            msg = (
                f"target {self._url} does not speak the OpenAI Videos API: GET /v1/videos?limit=1 gave "
                f"{reply.error}; correct --target"
            )
            raise TargetError(msg)

    async def _json(self, kind: type[T], *args: Any, **options: Any) -> Reply[T]:
        answer = await self._send(*args, **options)
        if answer.error is not None or answer.status is None or not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own classes
            return _refusal(answer)
        try:
            return Reply(answer.status, msgspec.json.decode(answer.body, type=kind))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Reply(answer.status, error=_line(f"HTTP {answer.status}, but no {kind.__name__} object: {error}"))

    async def _send(
        self,
        call: Call,
        operation: str,
        method: Literal["GET", "POST", "DELETE"],
        template: str,
        video_id: str = "",
        *,
        name: str = "",
        query: str = "",
        media_type: str = "",
        body: tuple[bytes, ...] = (),
        keep: bool = True,
        checksum: bool = False,
    ) -> _Answer:
        path = "/v1/videos"
        if template:
            path += template.replace("{video_id}", _quoted(video_id))
        if name:
            path = path.replace("{name}", _quoted(name))
        headers = {"Content-Type": media_type} if media_type else {}
        if call.baggage:
            headers["baggage"] = call.baggage
        answer = _Answer(keep=keep, checksum=checksum)
        if call.traceparent is not None:
            if call.traceparent:
                headers["traceparent"] = call.traceparent
            await self._exchange(call, operation, Request(method, path + query, headers, body), answer)
            return answer
        span = self._tracer.start_span(
            f"{method} /v1/videos{template}",
            context=call.context,
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": method,
                "url.full": self._url + path,
                "url.template": f"/v1/videos{template}",
            },
        )
        try:
            if parent := traceparent(span.get_span_context()):
                headers["traceparent"] = parent
            await self._exchange(call, operation, Request(method, path + query, headers, body), answer)
            if answer.status is not None:
                span.set_attribute("http.response.status_code", answer.status)
            if answer.status is None or answer.status >= 400:  # noqa: PLR2004 - HTTP's own classes
                span.set_attribute("error.type", str(answer.status or "no_answer"))
                span.set_status(StatusCode.ERROR, answer.error)
        finally:
            span.end()
        return answer

    async def _exchange(self, call: Call, operation: str, request: Request, answer: _Answer) -> None:
        assert self._transport is not None, "use Target as a context manager"
        sent = self._clock.now()
        try:
            await self._transport.exchange(request, answer)
            answer.status = answer.seen
        except EnoughError as enough:
            answer.status, answer.error = answer.seen, str(enough)
        except TransportError as problem:
            answer.error = _line(str(problem))
        finally:
            call.observe(Exchange(operation, sent, self._clock.now() - sent, answer.status, answer.size))


def _quoted(text: str) -> str:
    """Percent-encode a part of a path; most need nothing, and finding that out is quick."""
    return text if text.isascii() and text.replace("_", "").isalnum() else quote(text, safe="")


async def check_target(url: str) -> None:
    """Make sure, before anything else is started, that a target is there and speaks the API.

    Raises:
        TargetError: as `Target.check`.
    """
    async with Target(url, connections=1, clock=Clock.start(), tracer=NoOpTracer()) as target:
        await target.check()


def _refusal(answer: _Answer) -> Reply[Any]:
    """Turn anything but a success into one line."""
    if answer.error is not None:
        return Reply(answer.status, error=answer.error)
    try:
        envelope = msgspec.json.decode(answer.body, type=ErrorEnvelope).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Reply(answer.status, error=f"HTTP {answer.status}")
    return Reply(answer.status, error=_line(f"HTTP {answer.status}: {envelope.message}"), code=envelope.code)


def _line(text: str) -> str:
    """Make one line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."  # noqa: PLR2004 - the record's limit
