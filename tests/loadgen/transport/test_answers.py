"""Requests and answers of both transports against a server of raw bytes: forms and edge cases of HTTP/1.1."""

from __future__ import annotations

import asyncio
import re

import pytest

from reelbench.loadgen.http.connection import MAX_HEAD, MOST_KNOWN, KnownHead, KnownHeads
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.http.http1 import Http1Transport
from reelbench.loadgen.http.transport import Request, TransportError, header_line
from tests.loadgen.raw_server import Asked, Peer, ok, raw
from tests.loadgen.transport.harness import GET, POST, Make, Taken, ask, echo, fixed, using

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FORMS = {
    "length": (ok(b"five5"), (200, b"five5")),
    "empty": (ok(b""), (200, b"")),
    "chunks": (CHUNKED + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n", (200, b"abcde")),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"late"),
        (200, b"late"),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", (304, b"")),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n", (302, b"")),
    "refusal": (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", (503, b"no")),
    "compressed": (ok(b"\x1f\x8b", b"Content-Encoding: gzip\r\n"), (200, b"\x1f\x8b")),
}
MALFORMED = {
    b"SSH-2.0-rubbish\r\n": "not HTTP: ",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello": "not HTTP: ",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n": "not HTTP: ",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal": "ClientPayloadError: ",
    CHUNKED + b"5\r\nhal": "ClientPayloadError: ",
    CHUNKED + b"zz\r\nhal": "ClientPayloadError: |not HTTP: ",
    b"": "ServerDisconnectedError: Server disconnected",
}


async def test_sequential_exchanges_share_a_connection(make: Make) -> None:
    async with raw(echo) as server, using(make(server.url, 4)) as transport:
        for number in range(3):
            assert await ask(transport, Request("GET", f"/{number}?q=%20")) == (200, f"/{number}?q=%20".encode())
        assert server.connections == 1
    assert server.lines() == ["GET /0?q=%20", "GET /1?q=%20", "GET /2?q=%20"]


async def test_the_request_is_sent_unchanged(make: Make) -> None:
    headers = {"Content-Type": "a/b", "traceparent": "00-1-2-01"}
    sent = Request("POST", "/v1/videos", "".join(map(header_line, headers, headers.values())), (b"one", b"two"))
    async with raw(echo) as server, using(make(server.url, 1)) as transport:
        taken = Taken()
        await transport.exchange(sent, taken)
    (asked,) = server.asked
    assert (asked.line, asked.body) == ("POST /v1/videos HTTP/1.1", b"onetwo")
    assert asked.headers["host"] == server.url.removeprefix("http://")
    expected = {**headers, "Content-Length": "6", "Accept-Encoding": "identity"}
    assert {name: asked.headers[name.lower()] for name in expected} == expected
    assert "transfer-encoding" not in asked.headers
    assert taken.media_type == "text/plain"


async def test_a_known_head_is_no_reason_to_misread_an_answer() -> None:
    """Send answers with the same head: whole, in pieces, with bytes too many, then broken off."""
    answers = [[ok(b"first")], [ok(b"again")], [ok(b"parts")[:-3], ok(b"parts")[-3:]], [ok(b"extra") + b"!"]]
    answers += [[ok(b"fresh")], [ok(b"ended")[:-1]]]

    async def answer(peer: Peer, _: Asked) -> None:
        parts = answers.pop(0)
        await peer.say(*parts)
        if not answers:
            peer.writer.close()

    async with raw(answer) as server, using(Http1Transport(server.url, 1)) as transport:
        assert [await ask(transport) for _ in range(4)] == [
            (200, b"first"),
            (200, b"again"),
            (200, b"parts"),
            (200, b"extra"),
        ]
        assert server.connections == 1
        assert await ask(transport) == (200, b"fresh")
        assert server.connections == 2
        with pytest.raises(TransportError, match="ClientPayloadError: the answer broke off after 4 bytes"):
            await ask(transport)


def test_only_the_heads_of_whole_plain_answers_are_kept() -> None:
    heads, known = KnownHeads(), ok(b"12345")
    heads.add(known, 5, "text/plain")
    assert heads.of(known) == KnownHead("text/plain", len(known) - 5, 5, known[:-5])
    assert heads.of(ok(b"54321")) == heads.of(known)
    for other in (known[:-1], known + b"6", known[5:], ok(b"123456"), b""):
        assert heads.of(other) is None
    for refused in (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ok(b"", b"X: " + b"x" * 1024 + b"\r\n")):
        heads.add(refused, 0, "text/plain")
        assert heads.of(refused) is None
    for size in range(100, 100 + MOST_KNOWN):
        heads.add(ok(b"x" * size), size, "text/plain")
    assert heads.of(known) is None  # made room for others
    assert heads.of(ok(b"x" * (99 + MOST_KNOWN))) is not None


async def test_every_form_of_answer_is_read_and_the_connection_reused(make: Make) -> None:
    for form, (answer, expected) in FORMS.items():
        for pieces in ((answer,), tuple(bytes([byte]) for byte in answer)):
            async with raw(fixed(*pieces, close=False)) as server, using(make(server.url, 1)) as transport:
                answers = [await ask(transport), await ask(transport)]
                assert (form, answers, server.connections) == (form, [expected, expected], 1)


async def test_an_answer_without_a_length_ends_when_the_connection_closes(make: Make) -> None:
    for version in (b"1.1", b"1.0"):
        head = b"HTTP/%s 200 OK\r\n\r\n" % version
        async with raw(fixed(head, b"to the", b" end")) as server, using(make(server.url, 1)) as transport:
            assert [await ask(transport), await ask(transport)] == [(200, b"to the end")] * 2
            assert server.connections == 2


async def test_a_connection_that_the_server_will_close_is_not_used_again(make: Make) -> None:
    for head in (b"Connection: close\r\n", b"Connection: Close\r\n"):
        async with raw(fixed(ok(b"x", head), close=False)) as server, using(make(server.url, 1)) as transport:
            assert [await ask(transport), await ask(transport, POST)] == [(200, b"x")] * 2
            assert server.connections == 2


async def test_only_the_headers_that_a_receiver_needs_are_passed_on(make: Make) -> None:
    head = b"Retry-After: 7\r\nX-Request-Id: 1\r\nLOCATION: /there\r\nServer-Timing: denoise;dur=12.5\r\n"
    async with raw(fixed(ok(b"", head), close=False)) as server, using(make(server.url, 1)) as transport:
        taken, plain = Taken(), Taken()
        await transport.exchange(GET, taken)
        assert taken.headers == {"retry-after": "7", "location": "/there", "server-timing": "denoise;dur=12.5"}
    async with raw(echo) as server, using(make(server.url, 1)) as transport:
        await transport.exchange(GET, plain)
    assert plain.headers == {}


async def test_a_malformed_answer_is_one_line_and_the_next_exchange_works(make: Make) -> None:
    for answer, expected in MALFORMED.items():

        async def first_wrong(peer: Peer, asked: Asked, answer: bytes = answer) -> None:
            await (fixed(answer)(peer, asked) if len(server.asked) == 1 else echo(peer, asked))

        async with raw(first_wrong) as server, using(make(server.url, 1)) as transport:
            with pytest.raises(TransportError) as caught:
                await ask(transport, POST)
            assert re.match(f"({expected})", str(caught.value)), answer
            assert "\n" not in str(caught.value)
            assert await ask(transport) == (200, b"/it")


async def test_an_invalid_host_name_is_one_line(make: Make) -> None:
    for host in ("reelbench.invalid", "a..b", f"{'x' * 70}.invalid"):
        async with using(make(f"http://{host}:9", 1)) as transport:
            with pytest.raises(TransportError, match=r"^cannot connect: .+") as caught:
                await ask(transport)
        assert "Unknown error" not in str(caught.value)


async def test_a_refused_connection_is_one_line(make: Make) -> None:
    async with raw(echo) as server:
        pass
    async with using(make(server.url, 1)) as transport:
        for _ in range(3):  # each releases its place
            with pytest.raises(TransportError, match=r"^cannot connect: Connection refused$"):
                await ask(transport)


async def test_an_endless_head_is_cut_off() -> None:
    endless = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * MAX_HEAD)
    async with raw(fixed(endless)) as server, using(Http1Transport(server.url, 1)) as transport:
        with pytest.raises(TransportError, match=f"^not HTTP: a head of more than {MAX_HEAD} bytes$"):
            await ask(transport)


async def test_path_and_host_come_from_the_base_url_and_headers_from_the_credentials(make: Make) -> None:
    async with raw(echo) as server:
        port = server.url.rsplit(":", 1)[1]
        url = f"http://localhost:{port}/a b"
        credentials = Credentials(origin=url, headers={"Authorization": "Bearer k", "User-Agent": "mine"})
        async with using(make(url, 1, credentials)) as transport:
            assert await ask(transport, Request("DELETE", "/v1")) == (200, b"/a%20b/v1")
    (asked,) = server.asked
    assert asked.headers["host"] == f"localhost:{port}"
    assert (asked.headers["authorization"], asked.headers["user-agent"]) == ("Bearer k", "mine")
    assert asked.headers.get("content-length", "0") == "0"


def test_the_host_header_has_the_required_form() -> None:
    async def fixed_head(url: str) -> str:
        return Http1Transport(url, 1)._head(GET).decode().split("\r\n")[1]

    heads = [asyncio.run(fixed_head(url)) for url in ("http://[::1]:81", "http://[::1]", "http://h\xe4user.example")]
    assert heads == ["Host: [::1]:81", "Host: [::1]", "Host: xn--huser-gra.example"]
