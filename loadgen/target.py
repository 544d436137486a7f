"""The service under test, seen through the OpenAI Videos API."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode, Tracer, set_span_in_context

from loadgen.clock import Clock
from loadgen.document import Document
from loadgen.plan import PlannedJob
from loadgen.videos import DeletedVideo, ErrorEnvelope, Manifest, Video, VideoList

MAX_ANSWER: Final = 16 * 1024 * 1024
"""Bytes of a JSON answer; more is not of this API. Video content has no limit and is never held in memory."""

CHECK_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 45.0
"""Longest silence within an answer; above the longest long poll of 30 s."""

# Below the 5 s after which uvicorn and others close an idle connection: a POST on a connection that the server is
# just closing fails, and a POST may not be sent twice.
KEEPALIVE_SECONDS: Final = 4.0

T = TypeVar("T")


class TargetError(Exception):
    """The target is not there or does not speak the API; the message is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its answer, as measured."""

    operation: str
    sent: float
    duration: float
    """Seconds from sending to the last byte of the answer, with the wait for a connection."""
    status: int | None
    bytes: int
    """Bytes of the answer's body."""


@dataclass(frozen=True, slots=True)
class Call:
    """The trace that a request belongs to, and who wants to know of it."""

    context: Context
    """Parent span and baggage."""
    observe: Callable[[Exchange], None]
    span: bool = True
    """False for polls: the parent is passed on as it is, without a span for the request."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """The answer to a call: a value of the API, or one line about why there is none."""

    status: int | None
    value: T | None = None
    error: str | None = None
    code: str | None = None
    """The API's error code, if the answer was its error envelope."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is kept of a downloaded video."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int | None
    media_type: str
    body: bytes
    size: int
    sha256: str
    error: str | None


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
        self._session: aiohttp.ClientSession | None = None
        self.long_poll = True
        """False once the target has shown that it has no ``/wait``."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEPALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},  # sizes and checksums are those of the content itself
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def create(self, job: PlannedJob, document: Document, call: Call) -> Reply[Video]:
        """Submit a job."""
        fields = {"prompt": job.prompt, "seconds": job.seconds, "size": job.size}
        if job.encoding == "json":
            return await self._json(Video, call, "create", "POST", "", json=fields)
        form = aiohttp.FormData(fields)
        # aiohttp writes bytes in one piece, which blocks the loop for large ones; a file it writes in parts.
        data = document.data if len(document.data) < aiohttp.payload.TOO_LARGE_BYTES_BODY else io.BytesIO(document.data)
        form.add_field("input_reference", data, filename=document.name, content_type=document.media_type)
        return await self._json(Video, call, "create", "POST", "", data=form)

    async def retrieve(self, video_id: str, call: Call) -> Reply[Video]:
        """Read the present state of a video."""
        return await self._json(Video, call, "retrieve", "GET", "/{video_id}", video_id)

    async def wait(self, video_id: str, seconds: float, call: Call) -> Reply[Video]:
        """Read the state of a video as soon as it is terminal, or after `seconds`."""
        parameters = {"timeout": f"{seconds:.3f}"}
        return await self._json(Video, call, "wait", "GET", "/{video_id}/wait", video_id, params=parameters)

    async def list(self, call: Call, *, limit: int = 20, after: str | None = None) -> Reply[VideoList]:
        """Read one page of videos, newest first."""
        parameters = {"limit": str(limit), "order": "desc"} | ({"after": after} if after else {})
        return await self._json(VideoList, call, "list", "GET", "", params=parameters)

    async def manifest(self, video_id: str, call: Call) -> Reply[Manifest]:
        """Read the manifest of a video."""
        return await self._json(Manifest, call, "manifest", "GET", "/{video_id}/manifest", video_id)

    async def delete(self, video_id: str, call: Call, operation: str = "delete") -> Reply[DeletedVideo]:
        """Remove a video; `operation` is "cancel" when that is meant to stop its job."""
        return await self._json(DeletedVideo, call, operation, "DELETE", "/{video_id}", video_id)

    async def asset(self, video_id: str, name: str, call: Call) -> Reply[Content]:
        """Download one file of the manifest; only its size and checksum are kept."""
        answer = await self._send(call, "asset", "GET", "/{video_id}/assets/{name}", video_id, name=name, keep=False)
        if answer.error is not None or answer.status != 200:  # noqa: PLR2004 - HTTP OK
            return _refusal(answer)
        return Reply(answer.status, Content(bytes=answer.size, sha256=answer.sha256))

    async def content(self, video_id: str, call: Call) -> Reply[Content]:
        """Download a video; only its size and checksum are kept."""
        answer = await self._send(call, "content", "GET", "/{video_id}/content", video_id, keep=False)
        if answer.error is not None or answer.status != 200:  # noqa: PLR2004 - HTTP OK
            return _refusal(answer)
        if not answer.media_type.startswith(("video/", "application/octet-stream")):
            return Reply(answer.status, error=f"content is {answer.media_type or 'of no type'}, not a video")
        if answer.size == 0:
            return Reply(answer.status, error="content is empty")
        return Reply(answer.status, Content(bytes=answer.size, sha256=answer.sha256))

    async def check(self) -> None:
        """Make sure that the target is there and speaks the API.

        Raises:
            TargetError: it does not answer, or not with a list of videos.
        """
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                reply = await self.list(Call(context=Context(), observe=lambda _: None, span=False), limit=1)
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
        method: str,
        template: str,
        video_id: str = "",
        *,
        name: str = "",
        keep: bool = True,
        **options: Any,
    ) -> _Answer:
        path = template.format(video_id=quote(video_id, safe=""), name=quote(name, safe=""))
        url = f"{self._url}/v1/videos{path}"
        if not call.span:
            headers: dict[str, str] = {}
            propagate.inject(headers, call.context)
            return await self._exchange(call, operation, method, url, keep, headers, **options)
        span = self._tracer.start_span(
            f"{method} /v1/videos{template}",
            context=call.context,
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": method,
                "url.full": url,
                "url.template": f"/v1/videos{template}",
            },
        )
        try:
            headers = {}
            propagate.inject(headers, set_span_in_context(span, call.context))
            answer = await self._exchange(call, operation, method, url, keep, headers, **options)
            if answer.status is not None:
                span.set_attribute("http.response.status_code", answer.status)
            if answer.status is None or answer.status >= 400:  # noqa: PLR2004 - HTTP's own classes
                span.set_attribute("error.type", str(answer.status or "no_answer"))
                span.set_status(StatusCode.ERROR, answer.error)
            return answer
        finally:
            span.end()

    async def _exchange(  # noqa: PLR0917 - only called above
        self,
        call: Call,
        operation: str,
        method: str,
        url: str,
        keep: bool,  # noqa: FBT001 - only called above
        headers: dict[str, str],
        **options: Any,
    ) -> _Answer:
        assert self._session is not None, "use Target as a context manager"
        status, media_type, size, error = None, "", 0, None
        body, digest = bytearray(), hashlib.sha256()
        sent = self._clock.now()
        try:
            async with self._session.request(
                method, url, headers=headers, allow_redirects=False, **options
            ) as response:
                media_type = response.content_type
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                    if keep or response.status != 200:  # noqa: PLR2004 - HTTP OK; anything else explains itself
                        body += chunk
                        if size > MAX_ANSWER:
                            error = f"answer of more than {MAX_ANSWER} bytes"
                            break
                    else:
                        digest.update(chunk)
                status = response.status  # an answer that broke off is none
        except (aiohttp.ClientError, OSError, ValueError) as problem:  # time-outs are OSErrors
            error = _line(_reason(problem))
        finally:
            call.observe(Exchange(operation, sent, self._clock.now() - sent, status, size))
        return _Answer(status, media_type, bytes(body), size, digest.hexdigest(), error)


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


def _reason(problem: Exception) -> str:
    if isinstance(problem, aiohttp.ClientConnectorError):
        return f"cannot connect: {os.strerror(problem.errno) if problem.errno else problem.os_error}"
    if isinstance(problem, aiohttp.ClientResponseError):
        return f"not HTTP: {problem.message}"
    if isinstance(problem, TimeoutError):
        return f"time-out: {problem}" if str(problem) else "time-out"
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__


def _line(text: str) -> str:
    """Make one line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."  # noqa: PLR2004 - the record's limit
