"""Serves fakes inside a test, or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Any

from aiohttp import web

from tests.fakes.server import Fake

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def serving(fake: Fake, *, port: int = 0, tls: SSLContext | None = None) -> AsyncIterator[Fake]:
    """Serve a fake on loopback: on 127.0.0.1 as the server, and on a second port of localhost as another host."""
    runner = web.AppRunner(fake.app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    own, other = socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", 0))
    fake.served_at(
        f"http{'s' if tls else ''}://127.0.0.1:{own.getsockname()[1]}", f"http://localhost:{other.getsockname()[1]}"
    )
    await web.SockSite(runner, own, ssl_context=tls).start()
    await web.SockSite(runner, other).start()
    try:
        yield fake
    finally:
        await fake.generation.close()
        await runner.cleanup()


class Child:
    """A fake in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], origin: str) -> None:
        self.process = process
        self.origin = origin

    @property
    def pid(self) -> int:
        """Process id, for tests that stop and continue it."""
        return self.process.pid

    def truth(self) -> dict[str, Any]:
        """Return the truth so far."""
        with urllib.request.urlopen(f"{self.origin}/truth", timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)


@contextmanager
def child(*options: str) -> Iterator[Child]:
    """Start ``python -m tests.fakes`` with options, and end it at the end."""
    command = [sys.executable, "-m", "tests.fakes", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Child(process, process.stdout.readline().split()[0])
        finally:
            process.kill()


async def forever(fake: Fake, port: int) -> None:
    """Serve until killed; the first line printed starts with the URL."""
    async with serving(fake, port=port):
        print(f"{fake.origin} {fake.manner.title}, base URL {fake.base}", flush=True)  # noqa: T201 - tells the parent process
        await asyncio.Event().wait()
