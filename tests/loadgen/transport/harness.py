"""Requests, receivers and answers for the tests of the transports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials
from reelbench.loadgen.http.transport import EnoughError, Request, Transport
from tests.loadgen.raw_server import Asked, Peer, ok

GET = Request("GET", "/it")
POST = Request("POST", "/it", "", (b"body",))


class Make(Protocol):
    """The class of a transport."""

    def __call__(self, url: str, connections: int, credentials: Credentials = NO_CREDENTIALS) -> Transport: ...


@dataclass
class Taken:
    status: int = 0
    media_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    enough: int | None = None

    def head(self, status: int, media_type: str, headers: Mapping[str, str]) -> None:
        self.status, self.media_type, self.headers = status, media_type, dict(headers)

    def data(self, chunk: bytes) -> None:
        self.body += chunk
        if self.enough is not None and len(self.body) >= self.enough:
            raise EnoughError("enough")

    def whole(self, media_type: str, data: bytes, start: int, /) -> None:
        self.head(200, media_type, {})
        if data[start:]:
            self.data(data[start:])


@asynccontextmanager
async def using(transport: Transport) -> AsyncIterator[Transport]:
    try:
        yield transport
    finally:
        await transport.close()


async def ask(transport: Transport, request: Request = GET) -> tuple[int, bytes]:
    taken = Taken()
    await transport.exchange(request, taken)
    return taken.status, bytes(taken.body)


async def echo(peer: Peer, asked: Asked) -> None:
    await peer.say(ok(asked.line.split()[1].encode()))


def fixed(*pieces: bytes, close: bool = True) -> Callable[[Peer, Asked], Awaitable[None]]:
    async def answer(peer: Peer, _: Asked) -> None:
        await peer.say(*pieces)
        if close:
            peer.writer.close()

    return answer
