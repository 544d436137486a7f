"""One command of the user's: run without a shell, for a limited time, its output kept within a limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reelbench.loadgen.control.secrets import hide

GRACE_SECONDS = 2.0
"""Time between SIGTERM and SIGKILL of a command that takes too long."""
KEPT_BYTES = 32 * 1024
"""Of the beginning and of the end of the output of one command."""
_CHUNK = 64 * 1024


@dataclass(slots=True)
class _Output:
    """The beginning and the end of an output."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    left_out: int = 0

    def add(self, data: bytes) -> None:
        """Keep what fits."""
        room = KEPT_BYTES - len(self.head)
        self.head += data[:room] if room > 0 else b""
        self.tail += data[max(room, 0) :]
        surplus = len(self.tail) - KEPT_BYTES
        if surplus > 0:
            del self.tail[:surplus]
            self.left_out += surplus

    def text(self) -> str:
        """Return what was kept."""
        gap = f"\n... {self.left_out:,} bytes left out ...\n".encode() if self.left_out else b""
        text = bytes(self.head + gap + self.tail).decode(errors="replace")
        return text if not text or text.endswith("\n") else f"{text}\n"


async def run_command(
    argv: Sequence[str], *, environment: Mapping[str, str], secrets: Collection[str], directory: Path, seconds: float,
    output: Path,
) -> str | None:  # fmt: skip
    """Run a command to its end and append what it printed to a file.

    Args:
        argv: program and arguments.
        environment: the whole environment of the program.
        secrets: texts that are removed from the output.
        directory: the working directory.
        seconds: time after which the command and its process group are ended.
        output: the file.

    Returns:
        Why the command failed, as the end of a sentence; None: it ended with exit status 0.
    """
    kept, begun = _Output(), time.monotonic()
    failure: str | None = "was stopped"
    try:
        failure = await _run(argv, environment, directory, seconds, kept)
    finally:
        output.parent.mkdir(parents=True, exist_ok=True)
        end = "ended with exit status 0" if failure is None else failure
        text = f"$ {shlex.join(argv)}\n{kept.text()}# {end} after {time.monotonic() - begun:.3f} s\n"
        with output.open("a", encoding="utf-8") as file:
            file.write(hide(text, secrets))
    return failure


async def _run(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path, seconds: float, kept: _Output
) -> str | None:
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(reader, _CHUNK)
            kept.add(data)
            if not data:
                loop.remove_reader(reader)

    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=writer, stderr=writer, env=dict(environment),
                cwd=directory, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return f"cannot be run ({error.strerror or error})"
        finally:
            os.close(writer)
        loop.add_reader(reader, read)
        try:
            async with asyncio.timeout(seconds):
                status = await process.wait()
        except TimeoutError:
            await _end(process)
            return f"did not end within {seconds:g} s"
        except asyncio.CancelledError:
            await _end(process)
            raise
        finally:
            loop.remove_reader(reader)
        # A program that the command left in the background may hold the pipe open: only what is there is read.
        with contextlib.suppress(BlockingIOError):
            while data := os.read(reader, _CHUNK):
                kept.add(data)
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with exit status {status}" if status else None
    finally:
        os.close(reader)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process and its group: SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()
                return
