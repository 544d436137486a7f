"""A process that reads parts of trace files, how it is asked and how it answers.

Large files are read by such a process for each core. A command that reports on one run starts one before it imports
numpy and scipy, so that both happen at the same time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self

import msgspec

from reelbench.module_process import available_cores, module_process
from reelbench.reporting.evidence.trace_parts import Found, Part, cut, files_in, read

AHEAD_BYTES = 64 * 1024 * 1024
"""Most bytes of files that are read ahead, as all their spans are held in memory."""
_AHEAD_SHARE = 0.8
"""Share of the bytes that the process reads; the command reads the rest after its imports. The fastest of 0.5 to 1."""
_FOUND = msgspec.msgpack.Decoder(Found)


class ReadingError(Exception):
    """A reading process ended without an answer; the message is one sentence."""


class ReadAhead:
    """A process that reads files before it is known which traces are wanted. Its context ends the process.

    Args:
        parts: What the process reads; it holds all their spans.
        rest: What the caller of `found` reads.
    """

    def __init__(self, parts: Sequence[Part], rest: Sequence[Part]) -> None:
        self._rest = rest
        self._process = _started()
        _send(self._process, msgspec.json.encode(list(parts)), b"null")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with suppress(BrokenPipeError), self._process:  # closes its pipes and waits for its end
            pass

    def found(self, wanted: Collection[str]) -> list[Found]:
        """Return what the files hold of the wanted traces. It can be called once, as the process ends with its answer.

        Raises:
            ReadingError: the process has ended without an answer.
        """
        # In a thread: the process reads the question after its parts, and a long one does not fit into the pipe.
        asking = Thread(target=_send, args=(self._process, msgspec.json.encode(list(wanted))))
        asking.start()
        rest = read(self._rest, wanted)
        asking.join()
        return [_answer(self._process), rest]


def read_ahead(folder: Path, *, most: int = AHEAD_BYTES, cores: int | None = None) -> ReadAhead | None:
    """Begin to read the files of a folder.

    Args:
        folder: Where the files are.
        most: Bytes above which they are not read ahead.
        cores: Cores that this process may use; default: as the system says.

    Returns:
        None without files, for larger files, and with one core, on which nothing happens at the same time.

    Raises:
        OSError: a file is not there, or no process can be started.
    """
    files = files_in(folder)
    total = sum(size for _, size in files)
    if not 0 < total <= most or (cores or available_cores()) == 1:
        return None
    return ReadAhead(*cut(files, (0, int(total * _AHEAD_SHARE), total)))


def read_apart(parts: Sequence[Part], wanted: Collection[str]) -> Found:
    """Read parts in a process of their own.

    Raises:
        ReadingError: the process has ended.
    """
    with _started() as process:
        _send(process, msgspec.json.encode(list(parts)), msgspec.json.encode(list(wanted)))
        return _answer(process)


def _started() -> subprocess.Popen[bytes]:
    command, environment = module_process(__name__)
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def _send(process: subprocess.Popen[bytes], *lines: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # a process that has ended is reported by its exit code
        process.stdin.writelines(line + b"\n" for line in lines)
        process.stdin.flush()


def _answer(process: subprocess.Popen[bytes]) -> Found:
    """Return what a reading process found, at its end."""
    answer, _ = process.communicate()
    if process.returncode != 0:
        raise ReadingError(
            f"a process that read the files of traces ended with code {process.returncode}; export again"
        )
    return _FOUND.decode(answer)


def _main() -> None:
    """Read the parts, and the wanted traces, from lines of standard input; write what was found to standard output.

    Where the second line is ``null``, all traces are read, and a third line names the wanted ones.
    """
    lines = sys.stdin.buffer
    parts = msgspec.json.decode(lines.readline(), type=list[Part])
    wanted = msgspec.json.decode(lines.readline(), type=list[str] | None)
    found = read(parts, wanted)
    if wanted is None:
        found = found.only(msgspec.json.decode(lines.readline(), type=set[str]))
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))
    sys.stdout.buffer.flush()
    os._exit(0)  # the answer is complete when this process has ended; freeing its memory first would delay it


if __name__ == "__main__":
    _main()
