"""The parsers of HTTP on both sides, fed over a transport without a socket."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from reelbench.loadgen.http.connection import Connection, KnownHeads
from reelbench.loadgen.http.transport import EnoughError, Request, TransportError
from reelbench.loadgen.target.answer import Answer
from reelbench.loadgen.target.reading import Reader as TargetReader
from reelbench.loadgen.target.reading import UnreadableError
from reelbench.loadgen.target.states import Words
from reelbench.loadgen.target.target_file import States
from reelbench.service.faults import plan
from reelbench.service.faults.plan import FaultsError
from reelbench.service.http_limits import BoundedHttp
from reelbench.service.store.faults import OFFER
from tests.fuzz.reader import Reader

SERVER_ERROR = re.compile(rb"^HTTP/1\.[01] (5(?!03)\d\d)", re.MULTILINE)
"""A status that no request may get: the only 5xx of a healthy server is 503."""
TURNS = 40
"""Turns of the event loop that one case gets; what it started must have ended by then."""
VIDEO = b'{"id":"video_1","object":"video","status":"completed","created_at":1,"progress":100}'


class Pipe(asyncio.Transport):
    """A transport without a socket that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 8000)}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switching to another protocol is not offered."""

    def pause_reading(self) -> None:
        """All bytes of a case arrive."""

    def resume_reading(self) -> None:
        """All bytes of a case arrive."""


@cache
def the_loop() -> asyncio.AbstractEventLoop:
    """One loop for all cases of a process."""
    return asyncio.new_event_loop()


def pieces(data: bytes) -> Iterator[bytes]:
    """The first byte says in how many pieces the rest arrives."""
    rest = data[1:]
    size = max(1, len(rest) // (data[0] % 5 + 1)) if rest else 1
    yield from (rest[start : start + size] for start in range(0, len(rest), size))


async def answer_all(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    """An application that reads a request to its end and answers with its size."""
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size += len(event.get("body", b""))
        if not event.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]})
    await send({"type": "http.response.body", "body": b"%d" % size})


@cache
def _config() -> uvicorn.Config:
    config = uvicorn.Config(answer_all, http=BoundedHttp, log_config=None, access_log=False, proxy_headers=False)
    config.load()
    logging.getLogger("uvicorn.error").disabled = True  # it writes a line for each malformed request
    return config


def read_request(data: bytes, _: Path) -> None:
    """Feed the protocol of service and providers with a connection's bytes."""
    if not data:
        return
    the_loop().run_until_complete(_serve(data))


async def _serve(data: bytes) -> None:
    state = ServerState()
    protocol = BoundedHttp(_config(), state, {})
    pipe = Pipe()
    protocol.connection_made(pipe)
    for piece in pieces(data):
        if pipe.closed:
            break
        protocol.data_received(piece)
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    left = [task for task in state.tasks if not task.done()]
    for task in left:
        task.cancel()
    assert not left, f"{len(left)} requests went on after their connection"
    found = SERVER_ERROR.search(bytes(pipe.written))
    assert found is None, f"status {found[1]!r}"
    assert len(pipe.written) < 100 * (len(data) + 200), "an answer much larger than its request"


def read_answer(data: bytes, _: Path) -> None:
    """Feed the client of the load generator with the bytes of a server."""
    if data:
        the_loop().run_until_complete(_ask(data))


async def _ask(data: bytes) -> None:
    connection, pipe = Connection(asyncio.get_running_loop(), set(), KnownHeads()), Pipe()
    connection.connection_made(pipe)
    for _ in range(2):  # the second exchange meets the known head, or a connection that cannot be used
        answer = Answer(limit=8192)
        try:
            done = connection.begin(b"GET / HTTP/1.1\r\n\r\n", Request("GET", "/v1/videos/video_1"), answer)
        except TransportError:
            return
        for piece in pieces(data):
            if pipe.closed:
                break
            connection.data_received(piece)
        if pipe.closed or not done.done():
            connection.connection_lost(None)
        assert done.done(), "the exchange did not end with its connection"
        try:
            done.result()
            answer.status = answer.seen
        except EnoughError as enough:
            answer.error = str(enough)
        except TransportError as problem:
            answer.error = str(problem)
        connection.end(done)
        _check_reply(answer)


def _check_reply(answer: Answer) -> None:
    reply = answer.read(_target().video, "video", "video_1")
    assert (reply.value is None) == (reply.error is not None)
    assert reply.error is None or (reply.error.isprintable() and len(reply.error) <= 300), reply.error
    assert len(answer.body) <= 3 * 8192
    _ = reply.transient, reply.throttled, reply.not_offered, reply.explained, reply.not_yet


@cache
def _target() -> TargetReader:
    return TargetReader(Words(States()), str)


def read_body(data: bytes, _: Path) -> None:
    """Read JSON of a server as a video, a list, a deletion, and an error."""
    reader = _target()
    for read in (lambda: reader.video(data, "video_1"), lambda: reader.video(data), lambda: reader.page(data)):
        said = ""
        try:
            read()
        except UnreadableError as error:
            said = str(error)
        assert said.isprintable(), said
    answer = Answer(seen=500, status=500, media_type="application/json")
    answer.data(data)
    reply = answer.refusal()
    assert reply.error.isprintable(), reply.error


def read_faults(data: bytes, _: Path) -> None:
    """Read the body of ``PUT /faults``."""
    plan.read(data, OFFER)


def _answers() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    dated = b"\0HTTP/1.1 503 No\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer-Timing: a;dur=3, b\r\n"
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(VIDEO), VIDEO)
    return [
        b"\0" + head + b"Content-Length: %d\r\n\r\n" % len(VIDEO) + VIDEO,
        b"\1" + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk,
        b"\2" + head + b"Connection: close\r\n\r\n" + VIDEO,
        b"\3HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
        dated + b'Content-Length: 25\r\n\r\n{"error":{"message":"x"}}',
        b"\0HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n",
        b"\0HTTP/1.1 204 No Content\r\n\r\n",
        b"\0HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nxx",
    ]


def _requests() -> list[bytes]:
    return [
        b"\0GET /v1/videos HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\1POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"\2POST /v1/videos HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"\3GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"\4GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
        b"\0POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        b"\0HEAD /%00/../%ff?x=1&y=%zz#q HTTP/1.1\r\nHost: x\r\nbaggage: run_id=a\r\ntraceparent: 00-0-0-0\r\n\r\n",
        b"\0OPTIONS * HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n",
        b"\0CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]


def _bodies() -> list[bytes]:
    return [
        VIDEO,
        b'{"object":"list","data":[%b],"has_more":false}' % VIDEO,
        b'{"code":0,"data":{"task_id":"1","task_status":"succeed","task_result":{"videos":[{"url":"http://x/y"}]}}}',
        b'{"id":7,"state":"FAILED","error":{"message":"m","code":"c"},"metrics":{"a_ms":3},"created_at":"2024-01-01"}',
        b'{"data":[{"b64_json":"AAAA"}],"created":1}',
        b'{"id":"video_1","deleted":true}',
        b'{"detail":[{"loc":["body"],"msg":"m"}]}',
    ]


WORDS_OF_HTTP = (
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n",
    b"Expect: 100-continue\r\n", b"18446744073709551616", b"-1", b"\x00", b"\xff", b"0\r\n\r\n", b"gzip",
    b"Connection: close\r\n", b"Retry-After: ", b"Server-Timing: ", b"HTTP/9.9", b"Upgrade: ", b"inf",
)  # fmt: skip
WORDS_OF_JSON = (
    b'"id"', b'"status"', b'"data"', b'"error"', b'"message"', b'"url"', b'"b64_json"', b"1e999", b"-0", b"null",
    b'"completed"', b"\\ud800", b"\\u0000", b"\x1b[2J", b"NaN", b"[[[[", b'"created_at"', b'"video"', b'"metrics"',
)  # fmt: skip

READERS = (
    Reader("http_request", read_request, _requests, words=WORDS_OF_HTTP, weight=10),
    Reader("http_answer", read_answer, _answers, words=WORDS_OF_HTTP + WORDS_OF_JSON, weight=10),
    Reader("server_json", read_body, _bodies, words=WORDS_OF_JSON, weight=10),
    Reader(
        "fault_plan",
        read_faults,
        lambda: [b'{"seed": 1, "lifetime": 30, "rules": [{"provider": "store", "kind": "outage"}]}'],
        (FaultsError,),
        (b'"rules"', b'"provider"', b'"kind"', b'"rate"', b'"delay"', b'"store"', b'"latency"', b"1e400"),
    ),
)
