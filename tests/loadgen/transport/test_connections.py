"""Connections, time-outs and cancellation of both transports, on both event loops."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc

import pytest

from reelbench.loadgen.http import aiohttp, connection, http1
from reelbench.loadgen.http.http1 import Http1Transport
from reelbench.loadgen.http.transport import EnoughError, Request, TransportError
from tests.loadgen.raw_server import Asked, Peer, ok, raw
from tests.loadgen.transport.harness import GET, POST, Make, Taken, ask, echo, fixed, using


async def test_a_reset_connection_is_one_line() -> None:
    async def reset(peer: Peer, _: Asked) -> None:
        peer.reset()

    async with raw(reset) as server, using(Http1Transport(server.url, 1)) as transport:
        with pytest.raises(TransportError, match=r"^ServerDisconnectedError: Server disconnected"):
            await ask(transport)
    assert len(server.asked) == 1


async def test_a_post_on_a_connection_that_the_server_closed_is_sent_once(make: Make) -> None:
    """The server closes after reading the second request, so the client cannot know whether it was executed."""

    async def once(peer: Peer, asked: Asked) -> None:
        if sum(before.connection == asked.connection for before in server.asked) == 1:
            await peer.say(ok())
        else:
            peer.writer.close()

    async with raw(once) as server, using(make(server.url, 1)) as transport:
        await ask(transport)
        with pytest.raises(TransportError, match=r"^ServerDisconnectedError: Server disconnected"):
            await ask(transport, POST)
        assert server.lines() == ["GET /it", "POST /it"]
        await ask(transport)
        assert await ask(transport) == (200, b"hello")  # a GET may be sent again, on a new connection
    assert server.lines()[2:] == ["GET /it"] * 3


async def test_a_get_on_a_new_connection_is_not_sent_again() -> None:
    async with raw(fixed()) as server, using(Http1Transport(server.url, 1)) as transport:
        with pytest.raises(TransportError, match=r"^ServerDisconnectedError"):
            await ask(transport)
    assert server.lines() == ["GET /it"]


async def test_a_connection_closed_while_idle_is_not_used(make: Make) -> None:
    async with raw(fixed(ok())) as server, using(make(server.url, 1)) as transport:
        await ask(transport)
        await server.until_open(0)
        await asyncio.sleep(0.01)  # time for the kernel to report the close
        assert await ask(transport, POST) == (200, b"hello")
    assert server.lines() == ["GET /it", "POST /it"]


async def test_an_idle_connection_is_closed_before_the_server_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "KEEPALIVE_SECONDS", 0.05)
    async with raw(echo) as server, using(Http1Transport(server.url, 4)) as transport:
        await asyncio.gather(*(ask(transport) for _ in range(3)))
        assert server.open == 3
        await server.until_open(0)
        assert await ask(transport, POST) == (200, b"/it")
    assert server.connections == 4


async def test_an_unsolicited_answer_only_closes_the_connection(make: Make) -> None:
    stray = ok(b"first") + ok(b"stray")
    async with raw(fixed(stray, close=False)) as server, using(make(server.url, 1)) as transport:
        assert [await ask(transport) for _ in range(3)] == [(200, b"first")] * 3
        assert server.connections == 3


async def test_a_receiver_can_end_the_exchange(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiohttp, "KEEPALIVE_SECONDS", 0.05)  # the whole answer has arrived, so the connection is kept
    async with raw(fixed(ok(b"x" * 5000), close=False)) as server, using(make(server.url, 1)) as transport:
        taken = Taken(enough=1000)
        with pytest.raises(EnoughError):
            await transport.exchange(GET, taken)
        assert taken.status == 200
        await server.until_open(0)
        assert await ask(transport) == (200, b"x" * 5000)


async def test_no_data_is_a_time_out() -> None:
    async def slow(peer: Peer, _: Asked) -> None:
        answer = ok(b"12345678")
        await peer.say(answer[:-8])
        for byte in answer[-8:-4]:
            await asyncio.sleep(0.05)
            await peer.say(bytes([byte]))
        await peer.reader.read()

    async with raw(slow) as server, using(Http1Transport(server.url, 1)) as transport:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        with pytest.raises(TransportError, match=r"^time-out: nothing was received for 0\.1 s$"):
            await ask(transport, Request("GET", "/it", silence=0.1))
        assert 0.28 < loop.time() - begin < 1.5  # four bytes, then no data
        await server.until_open(0)


async def test_each_request_has_its_own_longest_silence(make: Make) -> None:
    async def slow(peer: Peer, asked: Asked) -> None:
        await asyncio.sleep(0.3)
        await echo(peer, asked)

    async with raw(slow) as server, using(make(server.url, 1)) as transport:
        assert await ask(transport, Request("GET", "/patient", silence=5.0)) == (200, b"/patient")
        with pytest.raises(TransportError, match=r"^time-out"):
            await ask(transport, Request("GET", "/hurried", silence=0.1))
        assert await ask(transport, Request("GET", "/again", silence=5.0)) == (200, b"/again")


async def test_a_slow_connection_setup_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "CONNECT_SECONDS", 0.05)

    class Deaf(Http1Transport):
        async def _create(self) -> connection.Connection:
            await asyncio.Event().wait()
            raise AssertionError

    async with using(Deaf("http://127.0.0.1:9", 1)) as transport:
        for _ in range(2):
            with pytest.raises(TransportError, match=r"^time-out: no connection within 0\.05 s$"):
                await ask(transport)


async def test_exchanges_beyond_the_limit_wait_in_order(make: Make) -> None:
    full, go = asyncio.Event(), asyncio.Event()

    async def held(peer: Peer, asked: Asked) -> None:
        if len(server.asked) == 2:
            full.set()
        await go.wait()
        await echo(peer, asked)

    async with raw(held) as server, using(make(server.url, 2)) as transport:
        tasks = [asyncio.create_task(ask(transport, Request("GET", f"/{number}"))) for number in range(6)]
        await full.wait()
        for given_up in (tasks[0], tasks[3]):  # one that is sent, one that waits
            given_up.cancel()
        go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        ended = [number for number, answer in enumerate(answers) if isinstance(answer, asyncio.CancelledError)]
        assert ended == [0, 3]
        assert [answer for answer in answers if isinstance(answer, tuple)] == [(200, b"/%d" % n) for n in (1, 2, 4, 5)]
    assert sorted(server.lines()[2:]) == ["GET /2", "GET /4", "GET /5"]
    assert server.connections <= 3


async def test_a_started_job_precedes_waiting_jobs(make: Make) -> None:
    async with raw(echo) as server, using(make(server.url, 1)) as transport:

        async def job(number: int) -> None:
            for step in range(3):
                await ask(transport, Request("POST", f"/{number}/{step}"))

        await asyncio.gather(job(0), job(1), job(2))
    assert server.lines() == [f"POST /{number}/{step}" for number in range(3) for step in range(3)]


@pytest.mark.extended
async def test_a_large_body_is_sent_completely_and_without_a_copy(make: Make) -> None:
    document = bytes(range(256)) * 4 * 4096 * 4  # 16 MiB

    async def digest(peer: Peer, asked: Asked) -> None:
        await peer.say(ok(hashlib.sha256(asked.body).hexdigest().encode()))

    async with raw(digest) as server, using(make(server.url, 1)) as transport:
        expected = hashlib.sha256(b"head" + document + b"tail").hexdigest().encode()
        sent = Request("POST", "/", "", (b"head", document, b"tail"))
        assert [await ask(transport, sent), await ask(transport, sent)] == [(200, expected)] * 2
        assert server.connections == 1


async def test_an_early_rejection_is_read_and_the_connection_closed() -> None:
    async def refuse(peer: Peer, asked: Asked) -> None:
        await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await peer.reader.read(1)
        await asyncio.Event().wait()

    async with raw(refuse, reads_bodies=False) as server, using(Http1Transport(server.url, 1)) as transport:
        sent = Request("POST", "/", "", (bytes(64 * 2**20),))
        async with asyncio.timeout(10):
            assert [await ask(transport, sent), await ask(transport, sent)] == [(413, b"")] * 2
        assert server.connections == 2


async def test_content_is_streamed_in_constant_memory() -> None:
    piece = bytes(2**20)

    async def much(peer: Peer, _: Asked) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * len(piece)), *[piece] * 100)

    class Counting(Taken):
        size = 0

        def data(self, chunk: bytes) -> None:
            self.size += len(chunk)

    async with raw(much) as server, using(Http1Transport(server.url, 1)) as transport:
        taken = Counting()
        tracemalloc.start()
        try:
            await transport.exchange(GET, taken)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken.size == 100 * len(piece)
    assert peak < 10 * len(piece)  # includes the memory of the server


@pytest.mark.extended
async def test_cancellation_at_any_point_leaves_the_pool_usable(make: Make) -> None:
    await cancel_at_any_point(make, 1)
    await cancel_at_any_point(make, 300_000)


async def cancel_at_any_point(make: Make, size: int) -> None:
    async def slowly(peer: Peer, asked: Asked) -> None:
        answer = ok(asked.line.split()[1].encode() + b"." * size)
        await peer.say(answer[:40], answer[40:90], answer[90:])

    async with raw(slowly) as server, using(make(server.url, 2)) as transport:
        cancelled = 0
        for turns in range(60):
            body = (b"x" * size,)
            tasks = [asyncio.create_task(ask(transport, Request("POST", f"/{turns}/{n}", "", body))) for n in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks[:2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled += sum(isinstance(answer, asyncio.CancelledError) for answer in answers)
            assert answers[2] == (200, f"/{turns}/2".encode() + b"." * size)
        assert cancelled > 10
        if isinstance(transport, Http1Transport):
            assert transport._busy == 0
            assert set(transport._idle) == transport._open
            await server.until_open(len(transport._open))
    await server.until_open(0)


async def test_closing_leaves_no_connection(make: Make) -> None:
    async with raw(echo) as server:
        async with using(make(server.url, 8)) as transport:
            await asyncio.gather(*(ask(transport) for _ in range(8)))
            assert server.open == 8
        await server.until_open(0)
