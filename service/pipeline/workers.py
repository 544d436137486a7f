"""A pool of worker processes: native code that hangs, crashes or takes all memory ends one of them, not the service.

Ready-made pools fall short: `concurrent.futures` and `loky` give up the whole pool when one process dies, `pebble`
shares one locked pipe among its processes, `anyio.to_process` imports the whole service into each.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

from reelbench import HOME

_log = logging.getLogger(__name__)
_LENGTH_BYTES = 4
_STDERR = 2
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_START_TIMEOUT = 30.0
_GRACE = 0.5
"""Seconds that a worker gets to end a task nobody waits for any more."""
_ATTEMPTS = 2
"""A task whose worker died is tried once more: an earlier task, or the kernel, may be to blame."""


class WorkerTimeoutError(Exception):
    """The task was not done in its time; its worker was killed."""


class WorkerDiedError(Exception):
    """The task's worker died, and so did the one that tried it again."""


class Workers:
    """`count` processes of ``python -m module arguments``, each replaced as soon as it is lost.

    `module` speaks as `reelbench.service.pipeline.worker` does. Use it as an asynchronous context manager; to enter
    does not wait for the processes. They live in sessions of their own, so that signals to the service's process
    group (Ctrl-C) pass them by; they end when their socket closes, so also when the service is killed.
    """

    def __init__(self, module: str, arguments: Sequence[str], count: int) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._count = count
        self._calls: asyncio.Queue[_Call] = asyncio.Queue()
        self._alive: set[_Worker] = set()
        self._servers: list[asyncio.Task[None]] = []
        # One after the other: the imports of all at once would take the processor from a service that just started.
        self._starting = asyncio.Lock()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes, for measurements of their CPU time and memory, from any thread."""
        return tuple(sorted(worker.pid for worker in [*self._alive]))

    async def call(self, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - it begins with the work
        """The answer to `request`; `timeout` counts from when a worker takes it up.

        A caller that is cancelled leaves the answer to be dropped. Raises WorkerTimeoutError, WorkerDiedError.
        """
        call = _Call(request, timeout, asyncio.get_running_loop().create_future())
        self._calls.put_nowait(call)
        return await call.answer

    async def __aenter__(self) -> Self:
        self._servers = [asyncio.create_task(self._serve()) for _ in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.cancel()
        await asyncio.gather(*self._servers, return_exceptions=True)
        await asyncio.gather(*(self._end(worker) for worker in list(self._alive)))
        while not self._calls.empty():
            self._calls.get_nowait().fail(WorkerDiedError("the service is shutting down"))

    async def _serve(self) -> None:
        worker: _Worker | None = None
        while True:
            worker = worker or await self._start()
            call = await self._calls.get()
            try:
                worker = await self._answer(worker, call)
            finally:
                call.fail(WorkerDiedError("the service is shutting down"))

    async def _answer(self, worker: _Worker | None, call: _Call) -> _Worker | None:
        """Settle `call`; returns the worker that is fit for the next one."""
        for _ in range(_ATTEMPTS):
            worker = worker or await self._start()
            if worker is None or call.answer.done():
                break
            try:
                async with asyncio.timeout(call.timeout) as limit:
                    call.answer.add_done_callback(partial(_hurry, limit))
                    content = await worker.exchange(call.request)
            except TimeoutError:
                _log.warning("A worker process was killed: its task was not done in %g s.", call.timeout)
                await self._end(worker)
                call.fail(WorkerTimeoutError(f"not done in {call.timeout:g} s"))
                return None
            except (OSError, EOFError):
                status = await self._end(worker)
                worker = None
                _log.warning("A worker process died in the middle of a task (exit status %s).", status)
            else:
                call.succeed(content)
                return worker
        call.fail(WorkerDiedError("the worker process died"))
        return worker

    async def _start(self) -> _Worker | None:
        """A worker that is ready; None, and the log says why, when there can be none."""
        worker: _Worker | None = None
        try:
            async with self._starting:
                worker = await _Worker.spawn(self._command)
                self._alive.add(worker)
                async with asyncio.timeout(_START_TIMEOUT):
                    await worker.receive()
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            _log.error("A worker process cannot start: %s.", error)
            if worker is not None:
                await self._end(worker)
            return None
        return worker

    async def _end(self, worker: _Worker) -> int:
        status = await worker.kill()
        self._alive.discard(worker)
        return status


@dataclass(frozen=True, slots=True)
class _Call:
    request: bytes
    timeout: float
    answer: asyncio.Future[bytes]

    def succeed(self, content: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(content)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _Worker:
    """One process and the socket to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.pid = process.pid

    @classmethod
    async def spawn(cls, command: Sequence[str]) -> Self:
        """Start the process; raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                return cls(_popen(command, theirs.fileno()), reader, writer)
            except BaseException:
                writer.close()
                raise

    async def exchange(self, request: bytes) -> bytes:
        """Send a request, and receive its answer; raises OSError or EOFError when the process is gone."""
        self._writer.write(len(request).to_bytes(_LENGTH_BYTES) + request)
        await self._writer.drain()
        return await self.receive()

    async def receive(self) -> bytes:
        """The next frame; raises OSError or EOFError."""
        length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES))
        if length > _MAX_ANSWER_BYTES:
            raise EOFError("the process talks nonsense")
        return await self._reader.readexactly(length)

    async def kill(self) -> int:
        """End the process at once; returns its exit status."""
        self._process.kill()
        with suppress(OSError):
            # The kernel closes the socket after it has freed the memory: waiting then takes no time.
            while await self._reader.read(1 << 16):
                pass
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        return self._process.wait()


def _popen(command: Sequence[str], stdin: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=_STDERR,  # our standard output is the trace stream
        cwd=HOME,
        start_new_session=True,
    )


def _hurry(limit: asyncio.Timeout, _answer: asyncio.Future[bytes]) -> None:
    """A caller was cancelled: its task may go on for a moment, since a new process costs more than most tasks."""
    with suppress(RuntimeError):  # the task has ended meanwhile
        now = asyncio.get_running_loop().time()
        limit.reschedule(min(limit.when() or now, now + _GRACE))
