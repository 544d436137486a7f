"""Media processes that all services of a test session share, because starting one takes a fifth of a second."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

import psutil

from reelbench.service.pipeline.workers import Workers


class SharedWorkers:
    """Replaces `Workers` in services whose tests do not examine the media processes."""

    _lock = threading.Lock()
    _loop: asyncio.AbstractEventLoop | None = None
    _pool: Workers
    _thread: threading.Thread

    @classmethod
    def processes(cls) -> tuple[int, ...]:
        """The shared processes that have been started so far."""
        return cls._pool.pids if cls._loop else ()

    def __init__(self, module: str, arguments: list[str], count: int) -> None:
        with self._lock:
            if SharedWorkers._loop is None:
                loop = asyncio.new_event_loop()
                SharedWorkers._thread = threading.Thread(target=loop.run_forever, daemon=True)
                self._thread.start()
                SharedWorkers._pool = Workers(module, arguments, count)
                asyncio.run_coroutine_threadsafe(self._pool.__aenter__(), loop).result(5)
                SharedWorkers._loop = loop

    @classmethod
    def close(cls) -> None:
        """End the processes and the thread that communicates with them."""
        if cls._loop is None:
            return
        asyncio.run_coroutine_threadsafe(cls._pool.__aexit__(), cls._loop).result(5)
        cls._loop.call_soon_threadsafe(cls._loop.stop)
        cls._thread.join(5)
        cls._loop.close()
        cls._loop = None

    @property
    def pids(self) -> tuple[int, ...]:
        return self._pool.pids

    async def call(self, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - the signature of `Workers`
        assert self._loop is not None
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._pool.call(request, timeout), self._loop)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: the shared processes end after the last test."""


def own_media_processes() -> list[psutil.Process]:
    """The media processes of the services in this process that are not shared."""
    children = [child for child in psutil.Process().children() if child.pid not in SharedWorkers.processes()]
    return [child for child in children if "reelbench.service.pipeline.worker" in child.cmdline()]
