"""The timer of a connection: one serves many exchanges, as setting one costs more than the rest of an exchange."""

from __future__ import annotations

import asyncio
from typing import Any

from reelbench.loadgen.http.connection import Connection, KnownHeads
from reelbench.loadgen.http.transport import Request
from tests.loadgen.transport.harness import Taken


class Loop:
    """A loop whose time is set; it notes the delays of timers."""

    def __init__(self) -> None:
        self.now, self.delays = 0.0, list[float]()
        self.real = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[None]:
        return self.real.create_future()

    def call_later(self, delay: float, *_: object) -> asyncio.TimerHandle:
        self.delays.append(delay)
        return self.real.call_later(3600, lambda: None)


class Pipe:
    """A transport that takes all that is written."""

    def write(self, data: bytes) -> None: ...


async def test_a_timer_that_rings_in_time_is_kept() -> None:
    loop: Any = Loop()
    connection, pipe = Connection(loop, set(), KnownHeads()), Pipe()
    connection.connection_made(pipe)  # type: ignore[arg-type] # it is only written to
    for at, silence in ((0.0, 60.0), (1.0, 45.0), (2.0, 60.0), (3.0, 45.0), (4.0, 60.0), (5.0, 5.0), (6.0, 5.0)):
        loop.now = at
        answer = connection.begin(b"", Request("GET", "/", silence=silence), Taken())
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        assert answer.done()
        connection.end(answer)
    assert loop.delays == [60.0, 45.0, 5.0]  # at 1.0 and at 5.0 the timer would have rung too late
