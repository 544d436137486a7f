"""Clients that send or read at a limited rate, while others are as fast as the server."""

from __future__ import annotations

import asyncio
import time

import pytest

from reelbench.loadgen.http.transport import Request
from tests.loadgen.raw_server import Asked, Peer, ok, raw
from tests.loadgen.transport.harness import Make, Taken, using

BODY = b"x" * 100_000


async def big(peer: Peer, _: Asked) -> None:
    await peer.say(ok(BODY))


async def timed(make: Make, request: Request) -> tuple[float, bytes]:
    async with raw(big) as server, using(make(server.url, 2)) as transport:
        taken, begun = Taken(), time.monotonic()
        await transport.exchange(request, taken)
        again = Taken()
        await transport.exchange(Request("GET", "/it"), again)  # the connection works as before
        assert bytes(again.body) == BODY
        assert server.asked[0].body == b"".join(request.body)
        return time.monotonic() - begun, bytes(taken.body)


@pytest.mark.parametrize(
    ("request_", "least"),
    [
        (Request("GET", "/it"), 0.0),
        (Request("GET", "/it", read_rate=200_000), 0.4),
        (Request("POST", "/it", "", (b"y" * 20_000, b"z" * 10_000), send_rate=50_000), 0.5),
        (Request("POST", "/it", "", (b"y" * 400,), silence=1.5, send_rate=200, read_rate=200_000), 1.9),
    ],
    ids=["as usual", "read", "send", "both, and no silence of the server"],
)
async def test_a_rate_limits_one_exchange_alone(make: Make, request_: Request, least: float) -> None:
    took, body = await timed(make, request_)
    assert body == BODY
    assert took >= least


async def test_a_slow_reader_does_not_hold_up_another_one(make: Make) -> None:
    async with raw(big) as server, using(make(server.url, 2)) as transport:
        slow = asyncio.create_task(transport.exchange(Request("GET", "/it", read_rate=50_000), Taken()))
        await asyncio.sleep(0.05)
        await transport.exchange(Request("GET", "/it"), Taken())
        assert not slow.done()
        await slow
