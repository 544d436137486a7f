"""A pool of worker processes: native code that hangs, crashes or takes all memory ends a worker, not the service.

Own code, because `concurrent.futures` and `loky` give up the whole pool when one process dies, `pebble` shares one
locked pipe among its processes, and `anyio.to_process` imports the whole service into each process.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

import psutil

from reelbench import HOME

_log = logging.getLogger(__name__)
_LENGTH_BYTES = 4
_STDERR = 2
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_START_TIMEOUT = 30.0
_GRACE = 0.5
"""Seconds that a worker gets to end a task whose caller was cancelled."""
_ATTEMPTS = 2
"""A task whose worker died is repeated once, because an earlier task or the kernel may be the cause."""


class WorkerTimeoutError(Exception):
    """The task exceeded its time limit; its worker was killed."""


class WorkerDiedError(Exception):
    """The worker of the task died, and so did the worker of its repetition."""


class Workers:
    """`count` processes of ``python -m module arguments``, each replaced when it dies; an asynchronous context manager.

    `module` uses the protocol of `reelbench.service.pipeline.worker`. Entering does not wait for the processes. Each
    has its own session, so signals to the process group of the service (Ctrl-C) do not reach it; it ends when its
    socket closes, even when the service is killed.
    """

    def __init__(self, module: str, arguments: Sequence[str], count: int) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._count = count
        self._calls: asyncio.Queue[_Call] = asyncio.Queue()
        self._alive: set[_Worker] = set()
        self._servers: list[asyncio.Task[None]] = []
        # One after another: concurrent imports would take the processor from a service that has just started.
        self._starting = asyncio.Lock()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids, readable from any thread, for measurements of CPU time and memory."""
        return tuple(sorted(worker.pid for worker in [*self._alive]))

    async def call(self, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - it starts with the work
        """Return the answer to `request`; `timeout` starts when a worker takes the request.

        The answer for a cancelled caller is dropped. Raises WorkerTimeoutError, WorkerDiedError.
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
        """Settle `call`; return the worker if it can take the next call."""
        for _ in range(_ATTEMPTS):
            worker = worker or await self._start()
            if worker is None or call.answer.done():
                break
            try:
                async with asyncio.timeout(call.timeout) as limit:
                    call.answer.add_done_callback(partial(_shorten, limit))
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
        """Start a worker and wait until it is ready; None after a failure, which is logged."""
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
    """One process and its socket."""

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
        """Send a request and receive its answer; raises OSError or EOFError when the process is gone."""
        self._writer.write(len(request).to_bytes(_LENGTH_BYTES) + request)
        await self._writer.drain()
        return await self.receive()

    async def receive(self) -> bytes:
        """Receive the next frame; raises OSError or EOFError."""
        length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES))
        if length > _MAX_ANSWER_BYTES:
            raise EOFError("the process sent an invalid frame")
        return await self._reader.readexactly(length)

    async def kill(self) -> int:
        """Kill the process; return its exit status."""
        self._process.kill()
        with suppress(OSError):
            # The kernel closes the socket after it has freed the memory, so the wait below is short.
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
        stdout=_STDERR,  # standard output is the trace stream
        cwd=HOME,
        start_new_session=True,
    )


def _shorten(limit: asyncio.Timeout, _answer: asyncio.Future[bytes]) -> None:
    """Shorten the limit after a cancellation, but not to zero: a new process costs more than most tasks."""
    with suppress(RuntimeError):  # the task has ended in the meantime
        now = asyncio.get_running_loop().time()
        limit.reschedule(min(limit.when() or now, now + _GRACE))


class WorkerUsage:
    """Totals over the processes `pids`; read from the thread of the exporter, without await."""

    def __init__(self, pids: Callable[[], tuple[int, ...]]) -> None:
        self._pids = pids
        self._cpu: dict[int, float] = {}
        self._ended = 0.0

    def cpu_time(self) -> float:
        """Return the CPU seconds, of ended processes up to the last reading: the total never decreases."""
        found = {pid: seconds for pid in self._pids() if (seconds := _cpu(pid)) is not None}
        for pid, seconds in self._cpu.items():
            # Less than before under the same id: another process uses the id now.
            if found.get(pid, 0.0) < seconds:
                self._ended += seconds
        self._cpu = found
        return self._ended + sum(found.values())

    def memory(self) -> int:
        """Return the bytes in RAM of living processes; shared pages count for each process."""
        return sum(_memory(pid) for pid in self._pids())


def _cpu(pid: int) -> float | None:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system


def _memory(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
