"""The process that decodes: started at the first file, replaced when a file makes it crash or hang."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from reelbench.loadgen.videos import decoder
from reelbench.loadgen.videos.decoder import Decoded

FILE_SECONDS: Final = 90.0
"""Time for one file, as the process has the lowest priority; its CPU time is limited by the process itself."""
START_SECONDS: Final = 30.0
"""Time until the process has loaded its libraries."""
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""What the process needs of the environment; keys of the user stay out of it."""


class DecoderError(Exception):
    """The process does not start; the message is one sentence with the cure."""


class DecoderProcess:
    """A child process that decodes one file after the other."""

    def __init__(self, file_seconds: float = FILE_SECONDS, script: Path = Path(decoder.__file__)) -> None:
        self._seconds = file_seconds
        self._script = script
        self._process: asyncio.subprocess.Process | None = None

    async def decode(self, path: Path) -> Decoded:
        """Return what a file holds; a file that ends or stops the process does not decode.

        Raises:
            DecoderError: the process does not start.
        """
        if self._process is None:
            await self._start()
        process = self._process
        assert process is not None, "it is started"
        assert process.stdin is not None, "it is a pipe"
        assert process.stdout is not None, "it is a pipe"
        try:
            async with asyncio.timeout(self._seconds):
                process.stdin.write(os.fsencode(path) + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            return msgspec.json.decode(line, type=Decoded)
        except TimeoutError:
            await self.close()
            return Decoded(error=f"decoding takes more than {self._seconds:g} s")
        except (msgspec.MsgspecError, ConnectionError):
            code = await self.close()
            return Decoded(error=_death(code))
        except BaseException:  # an answer to this file must not be read as the answer to the next one
            await self.close()
            raise

    async def close(self) -> int | None:
        """End the process; return its exit code, if it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return None
        code = None
        with suppress(TimeoutError):
            assert process.stdin is not None, "it is a pipe"
            process.stdin.close()
            async with asyncio.timeout(1.0):
                code = await process.wait()
        if code is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return code

    async def _start(self) -> None:
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",  # without this folder and the user's settings on the path
            str(self._script),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: value for name in _ENVIRONMENT if (value := os.environ.get(name)) is not None},
            start_new_session=True,  # Ctrl-C is for the load generator, which ends this process
        )
        assert process.stdout is not None, "it is a pipe"
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
        if line != decoder.READY:
            await self.close()
            raise DecoderError("videos are not checked, as PyAV cannot be used; install the locked version of `av`")


def _death(code: int | None) -> str:
    if code is not None and -code in {signal.SIGXCPU, signal.SIGKILL}:
        return f"decoding takes more than {decoder.FILE_CPU_SECONDS} s of CPU time"
    how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    return f"the decoder ends with {how}"
