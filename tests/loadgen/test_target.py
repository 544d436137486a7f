from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reelbench.loadgen.target import answer as answers
from reelbench.loadgen.target import target
from reelbench.loadgen.target.target_error import TargetError
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import bench


@asynccontextmanager
async def saying(answer: bytes | None) -> AsyncIterator[str]:
    """Serve the same bytes on every connection; None: a server that never answers."""

    over, handlers = asyncio.Event(), []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        await reader.read(4096)
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        over.set()
        await asyncio.gather(*filter(None, handlers), return_exceptions=True)


def http(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


async def test_a_target_with_the_api_is_accepted() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url + "/") as b:
        await b.target.check()
        assert b.target.ours
    assert fake.counts() == {"list": 1, "manifest": 1}


NO_API = "does not speak the OpenAI Videos API: GET /v1/videos?limit=1 gave "
RUBBISH: list[tuple[bytes | None, str]] = [
    (http(b"hello"), f"{NO_API}HTTP 200, but no VideoList object: no JSON: JSON is malformed"),
    (http(b"\xff\x00"), f"{NO_API}HTTP 200, but no VideoList object: "),
    (http(b'{"object":"list"}'), f"{NO_API}HTTP 200, but no VideoList object: the answer has no list of videos"),
    (http(b"<html>hello</html>"), f"{NO_API}HTTP 200, but no VideoList object: "),
    (http(b"<html>hello</html>", "404 Not Found"), f"{NO_API}HTTP 404; correct --target"),
    (http(b"", "301 Moved", "Location: http://127.0.0.2:1/elsewhere\r\n"), f"{NO_API}HTTP 301 to another server, "),
    (http(b"", "500 Broken"), f"{NO_API}HTTP 500; correct --target"),
    (
        http(b'{"error":{"message":"no key"}}', "401 Unauthorized"),
        "asks for a key (HTTP 401: no key) and none was sent; set OPENAI_API_KEY, or name the ",
    ),
    (http(b'{"message":"no"}', "403 Forbidden"), "asks for a key (HTTP 403: no) and none was sent; "),
    (
        http(b'{"error":"Authentication Error"}', "400 Bad"),
        "asks for a key (HTTP 400: Authentication Error) and none was sent; ",
    ),
    (
        http(b'{"error":{"message":"No connected db."}}', "400 Bad"),
        "asks for a key (HTTP 400: No connected db.) and none ",
    ),
    (http(b"x", head="Content-Encoding: gzip\r\n"), f"{NO_API}HTTP 200, but no VideoList object: "),
    (b"SSH-2.0-rubbish\r\n", "gives no HTTP answer (not HTTP: "),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", "gives no HTTP answer (ClientPayloadError: "),
    (b"", "gives no HTTP answer ("),
    (None, "gives no HTTP answer (time-out after 0.3 s); start the service or correct --target"),
]


async def test_an_invalid_answer_is_one_sentence_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "CHECK_SECONDS", 0.3)
    for answer, expected in RUBBISH:
        async with saying(answer) as url, bench(url) as b:
            with pytest.raises(TargetError, match=re.escape(expected)) as caught:
                await b.target.check()
        assert "\n" not in str(caught.value)


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "MAX_ANSWER", 1000)
    # The limit holds for each answer of the check.
    async with saying(http(b" " * 5000)) as url, bench(url) as b:
        with pytest.raises(TargetError, match="answer of more than 1000 bytes"):
            await b.target.check()


class KeptFile:
    """A sink that keeps the bytes of a download."""

    def __init__(self) -> None:
        self.begun = 0
        self.data = b""

    def begin(self) -> None:
        self.begun += 1
        self.data = b""

    def write(self, chunk: bytes) -> None:
        self.data += chunk


def test_a_sink_gets_the_file_and_nothing_of_a_refusal() -> None:
    sink = KeptFile()
    answer = answers.Answer(keep=False, sink=sink)
    answer.head(200, "video/mp4", {})
    answer.data(b"half")
    answer.head(200, "video/mp4", {})  # the transport sent the request again
    answer.data(b"the ")
    answer.data(b"file")
    assert (sink.begun, sink.data) == (2, b"the file")
    refused = KeptFile()
    answer = answers.Answer(keep=False, sink=refused)
    answer.head(404, "application/json", {})
    answer.data(b"{}")
    assert (refused.begun, refused.data) == (0, b"")
