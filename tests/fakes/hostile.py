"""A hostile server: answers that must harm nothing, sent byte by byte over plain sockets, with nothing stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

BLOCK: Final = b"a" * 65536
GIGABYTE: Final = 1 << 30
MARKUP: Final = "<script>alert(1)</script>\"'`|*_#[x](javascript:alert(1))\\begin{document}${HOME}"
CONTROL: Final = "\x1b[2J\x1b]0;owned\x07\r\n\u0000\u202e\ud83d\ude00"
STRANGE: Final = f"{MARKUP}{CONTROL}"
STRANGE_ID: Final = f"../../etc/passwd?x=1#y {MARKUP}{CONTROL}"


def video_body(status: str, identity: str = "video_1", message: str = "", **more: object) -> bytes:
    """Return the JSON of a video."""
    error = {"code": message, "message": message} if message else None
    body = {"id": identity, "object": "video", "status": status, "created_at": 1, "error": error}
    return json.dumps(body | more).encode()


@dataclass(frozen=True)
class Part:
    """One answer: its head and a source of its body."""

    body: Callable[[], AsyncIterator[bytes]]
    status: str = "200 OK"
    media_type: str = "application/json"
    length: int | None = None
    """Content-Length; None: the body ends with the connection."""
    headers: tuple[tuple[str, str], ...] = ()


def whole(
    body: bytes, *, media_type: str = "application/json", status: str = "200 OK", length: int | None = None
) -> Part:
    """Return an answer with a body in one piece; `length` may lie."""

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    return Part(pieces, status, media_type, len(body) if length is None else length)


def endless(media_type: str, limit: int | None = None, *, start: bytes = b"", declared: bool = False) -> Part:
    """Return an answer of `limit` bytes, or one that never ends."""

    async def pieces() -> AsyncIterator[bytes]:
        sent = len(start)
        yield start
        while limit is None or sent < limit:
            sent += len(BLOCK)
            yield BLOCK

    blocks = 0 if limit is None else -(-(limit - len(start)) // len(BLOCK))
    return Part(pieces, media_type=media_type, length=len(start) + blocks * len(BLOCK) if declared else None)


def drip(body: bytes, seconds: float, media_type: str) -> Part:
    """Return an answer of one byte each `seconds`."""

    async def pieces() -> AsyncIterator[bytes]:
        for place in range(len(body)):
            yield body[place : place + 1]
            await asyncio.sleep(seconds)

    return Part(pieces, media_type=media_type, length=len(body))


def redirect(location: str, status: str = "302 Found") -> Part:
    """Return a redirect."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b""

    return Part(pieces, status, length=0, headers=(("Location", location),))


@dataclass(frozen=True)
class Hostility:
    """Answers to the operations of a job; those not given are those of a well-behaved server."""

    create: Part = field(default_factory=lambda: whole(video_body("queued")))
    retrieve: Part = field(default_factory=lambda: whole(video_body("completed")))
    content: Part = field(default_factory=lambda: whole(b"\x00\x00\x00\x18ftypmp42", media_type="video/mp4"))
    list: Part = field(default_factory=lambda: whole(b'{"object": "list", "data": [], "has_more": false}'))
    delete: Part = field(default_factory=lambda: whole(b'{"id": "video_1", "deleted": true}'))


def _nested(depth: int = 100_000) -> bytes:
    return b'{"id": "video_1", "status": "completed", "error": ' + b"[" * depth + b"]" * depth + b"}"


def _strange_headers(body: bytes) -> Part:
    part = whole(body)
    more = (("X-Model", MARKUP), ("Server-Timing", MARKUP), ("Retry-After", MARKUP))
    return Part(part.body, part.status, part.media_type, part.length, more)


HTML: Final = b"<!doctype html><html><title>Sign in</title><script>alert(1)</script></html>"

HOSTILITIES: Final[dict[str, Callable[[], Hostility]]] = {
    "create-1gb": lambda: Hostility(create=endless("application/json", GIGABYTE, start=b'{"id": "', declared=True)),
    "poll-1gb": lambda: Hostility(retrieve=endless("application/json", GIGABYTE, start=b'{"id": "', declared=True)),
    "content-1gb": lambda: Hostility(content=endless("video/mp4", GIGABYTE, declared=True)),
    "list-endless": lambda: Hostility(list=endless("application/json", start=b'{"data": ["')),
    "create-endless": lambda: Hostility(create=endless("application/json", start=b'{"id": "')),
    "poll-endless": lambda: Hostility(retrieve=endless("application/json", start=b'{"id": "')),
    "content-endless": lambda: Hostility(content=endless("video/mp4")),
    "create-drip": lambda: Hostility(create=drip(video_body("queued"), 1.0, "application/json")),
    "poll-drip": lambda: Hostility(retrieve=drip(video_body("completed"), 1.0, "application/json")),
    "content-drip": lambda: Hostility(content=drip(BLOCK, 1.0, "video/mp4")),
    "create-html": lambda: Hostility(create=whole(HTML, media_type="text/html")),
    "poll-html": lambda: Hostility(retrieve=whole(HTML, media_type="text/html")),
    "content-html": lambda: Hostility(content=whole(HTML, media_type="text/html")),
    "strange-id": lambda: Hostility(
        create=whole(video_body("queued", STRANGE_ID)), retrieve=whole(video_body("completed", STRANGE_ID))
    ),
    "strange-message": lambda: Hostility(retrieve=whole(video_body("failed", message=STRANGE))),
    "strange-refusal": lambda: Hostility(
        create=whole(json.dumps({"error": {"message": STRANGE, "code": STRANGE}}).encode(), status="400 Bad Request")
    ),
    "strange-model": lambda: Hostility(retrieve=whole(video_body("completed", model=STRANGE, size=STRANGE))),
    "strange-status": lambda: Hostility(retrieve=whole(video_body(STRANGE))),
    "strange-headers": lambda: Hostility(create=_strange_headers(video_body("queued"))),
    "nested": lambda: Hostility(create=whole(_nested()), retrieve=whole(_nested())),
    "poll-nested": lambda: Hostility(retrieve=whole(_nested())),
    "length-too-long": lambda: Hostility(content=whole(b"short", media_type="video/mp4", length=1000)),
    "length-too-short": lambda: Hostility(content=whole(BLOCK, media_type="video/mp4", length=10)),
    "poll-length-too-short": lambda: Hostility(retrieve=whole(video_body("completed"), length=10)),
    "redirect-loop": lambda: Hostility(content=redirect("/v1/videos/video_1/content")),
    "poll-redirect-loop": lambda: Hostility(retrieve=redirect("/v1/videos/video_1", "307 Temporary Redirect")),
    "redirect-to-file": lambda: Hostility(content=redirect("file:///etc/passwd")),
    "not-utf8": lambda: Hostility(retrieve=whole(b'{"id": "video_1", "status": "\xff\xfe"}')),
    "huge-numbers": lambda: Hostility(
        retrieve=whole(b'{"id": "video_1", "status": "completed", "created_at": 1e400, "inference_time_s": 1e999}')
    ),
}
"""Hostile servers by name."""


class Hostile:
    """A server that is up to no good; keeps what came in."""

    def __init__(self, hostility: Hostility) -> None:
        self._hostility = hostility
        self.origin = ""
        self.requests: list[str] = []
        """First lines of the requests."""
        self.sent = 0
        """Bytes of bodies handed to the sockets."""

    def _part(self, line: str) -> Part:
        method, target, _ = line.split(" ", 2)
        path = target.partition("?")[0]
        if method == "POST":
            return self._hostility.create
        if method == "DELETE":
            return self._hostility.delete
        if path.endswith("/content"):
            return self._hostility.content
        if path.endswith("/videos"):
            return self._hostility.list
        if path.endswith("/wait"):
            return whole(b'{"detail": "Not Found"}', status="404 Not Found")
        return self._hostility.retrieve

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, send its answer, close."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            self.requests.append(lines[0])
            lengths = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
            await reader.readexactly(sum(lengths))
            part = self._part(lines[0])
            headers = [("Content-Type", part.media_type), ("Connection", "close"), *part.headers]
            if part.length is not None:
                headers.append(("Content-Length", str(part.length)))
            text = "".join(f"{name}: {value}\r\n" for name, value in headers)
            writer.write(f"HTTP/1.1 {part.status}\r\n{text}\r\n".encode("latin-1", "replace"))
            async for piece in part.body():
                writer.write(piece)
                self.sent += len(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hostile(hostility: Hostility) -> AsyncIterator[Hostile]:
    """Serve a hostile server until the test ends."""
    served = Hostile(hostility)
    handlers: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(served.handle(reader, writer))
        handlers.add(task)
        task.add_done_callback(handlers.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    served.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        running = list(handlers)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
