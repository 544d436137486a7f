"""A server of raw bytes: it reads HTTP/1.1 requests and sends the bytes that a test provides."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Asked:
    connection: int
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def method(self) -> str:
        return self.line.split()[0]


@dataclass
class Peer:
    """One connection, passed to the function that answers."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Answer = Callable[[Peer, Asked], Awaitable[None]]


@dataclass
class RawServer:
    answer: Answer
    reads_bodies: bool = True
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    closed: asyncio.Condition = field(default_factory=asyncio.Condition)
    url: str = ""

    def lines(self) -> list[str]:
        return [asked.line.removesuffix(" HTTP/1.1") for asked in self.asked]

    async def until_open(self, count: int) -> None:
        async with asyncio.timeout(5), self.closed:
            await self.closed.wait_for(lambda: self.open == count)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        self.open += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *rest = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (item.split(": ", 1) for item in rest)}
                body = await reader.readexactly(int(headers.get("content-length", 0)) if self.reads_bodies else 0)
                self.asked.append(Asked(number, line, headers, body))
                await self.answer(Peer(reader, writer), self.asked[-1])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            async with self.closed:
                self.open -= 1
                self.closed.notify_all()


@asynccontextmanager
async def raw(answer: Answer, *, reads_bodies: bool = True) -> AsyncIterator[RawServer]:
    """Serve until the test ends, then cancel the remaining handlers."""
    served = RawServer(answer, reads_bodies)
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await served.handle(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            handlers.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        running = list(handlers)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def ok(body: bytes = b"hello", head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=x\r\nContent-Length: %d\r\n%b\r\n%b" % (
        len(body),
        head,
        body,
    )
