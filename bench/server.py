"""A fast server: the Videos API with prepared answers and counts of its requests.

``GET /counts`` returns the counts. A freeze, timed from the first request, blocks the server like a long garbage
collection: no request is read or answered. At the first request of any kind, the server reads how much CPU time the
generator has used, so its start can be left out.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final, cast

import httptools
import msgspec
import psutil
import uvloop

CONTENT: Final = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 64
BACKLOG: Final = 4096
"""Connections that the kernel accepts while the server is frozen."""


class Counts(msgspec.Struct, kw_only=True):
    """The counts of the server."""

    operations: dict[str, int]
    """Requests by operation: create, retrieve, wait, content, or other."""
    traced: int
    """Requests of the four operations with a ``traceparent``."""
    first: float | None
    """Seconds on the server's clock; None before the first request."""
    last: float | None
    frozen: float | None
    """Seconds from the first request to the freeze; None before the freeze."""
    start_cpu: float | None = None
    """CPU seconds that the generator had used at its first request of any kind; None: its process is not known."""

    @property
    def requests(self) -> int:
        """Requests of the four operations."""
        return sum(count for operation, count in self.operations.items() if operation != "other")


class State:
    """State that all connections share."""

    def __init__(self, freeze_after: float, freeze_for: float, process: Path | None) -> None:
        """Begin without a request.

        Args:
            freeze_after: seconds from the first request to the freeze.
            freeze_for: seconds of the freeze; 0: none.
            process: file with the number of the generator's process, written before its first request; None: no file.
        """
        self.operations: Counter[str] = Counter()
        self.traced = 0
        self.first: float | None = None
        self.last: float | None = None
        self.frozen: float | None = None
        self.start_cpu: float | None = None
        self._freeze_after, self._freeze_for = freeze_after, freeze_for
        self._process = process

    def meet(self) -> None:
        """Read the CPU time of the generator at its first request."""
        process, self._process = self._process, None
        if process is not None:
            times = psutil.Process(int(process.read_text(encoding="ascii"))).cpu_times()
            self.start_cpu = times.user + times.system

    def begin(self, now: float) -> None:
        """Record the first request and schedule the freeze."""
        self.first = now
        if self._freeze_for:
            asyncio.get_running_loop().call_later(self._freeze_after, self._freeze, now)

    def counts(self) -> bytes:
        """Return the counts so far as JSON."""
        return msgspec.json.encode(
            Counts(
                operations=dict(self.operations),
                traced=self.traced,
                first=self.first,
                last=self.last,
                frozen=self.frozen,
                start_cpu=self.start_cpu,
            )
        )

    def _freeze(self, first: float) -> None:
        self.frozen = time.monotonic() - first
        time.sleep(self._freeze_for)


class Connection(asyncio.Protocol):
    """Answers the requests of one connection."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._traced = b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is one, but is not a subclass

    def data_received(self, data: bytes) -> None:
        """Pass the data to the parser, which calls the methods below."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        """Start a request."""
        self._url, self._traced = b"", False

    def on_url(self, url: bytes) -> None:
        """Append to the request target."""
        self._url += url

    def on_header(self, name: bytes, _: bytes) -> None:
        """Look for the trace header."""
        if name.lower() == b"traceparent":
            self._traced = True

    def on_message_complete(self) -> None:
        """Send the answer."""
        path, state = self._url.split(b"?", 1)[0], self._state
        operation, media_type, body = answer(self._parser.get_method(), path, state)
        if operation:
            if state.start_cpu is None:
                state.meet()
            now = time.monotonic()
            if operation != "other":
                if state.first is None:
                    state.begin(now)
                state.last = now
                state.traced += self._traced
            state.operations[operation] += 1
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        status = b"200 OK" if body else b"404 Not Found"
        self._transport.write(head % (status, media_type, len(body)) + body)


def answer(method: bytes, path: bytes, state: State) -> tuple[str, bytes, bytes]:
    """Return operation (empty: not counted), media type and body of the answer; an empty body means not found."""
    name = path.rsplit(b"/", 1)[-1]
    operation, media_type, body = "other", b"application/json", b""
    if path == b"/v1/videos" and method == b"POST":
        operation, body = "create", _video(b"video_%d" % state.operations["create"], b"queued")
    elif path == b"/v1/videos":
        body = b'{"object":"list","data":[],"has_more":false}'
    elif name.startswith(b"video_"):
        operation, body = "retrieve", _video(name, b"completed")
    elif name == b"wait":
        operation, body = "wait", _video(path.split(b"/")[3], b"completed")
    elif name == b"content":
        operation, media_type, body = "content", b"video/mp4", CONTENT
    elif name == b"counts":
        operation, body = "", state.counts()
    return operation, media_type, body


def _video(name: bytes, status: bytes) -> bytes:
    return b'{"id":"%b","object":"video","status":"%b","created_at":1700000000,"progress":0}' % (name, status)


async def serve(freeze_after: float, freeze_for: float, process: Path | None) -> None:
    """Serve on a free loopback port until killed; print the base URL. Arguments as for `State`."""
    state = State(freeze_after, freeze_for, process)
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), sock=listener, backlog=BACKLOG)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201 - tells the parent process
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(float(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))  # noqa: PLR2004 - the third is optional
