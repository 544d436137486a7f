"""A process that reads parts of trace files, and the questions to it and its answer.

It is for large files, of which every core reads a share, and for a command that reports on one run: that begins to read
before it loads what judges the run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from reelbench.module_process import module_process
from reelbench.reporting.evidence.trace_parts import Found, Part, cut, files_in, read

AHEAD_BYTES = 64 * 1024 * 1024
"""Most bytes of files that are read ahead: all their spans are held, some 3 bytes of memory for each byte."""
_AHEAD_SHARE = 0.6
"""Share of them that the process reads. The command reads the rest when it has loaded its modules: both end together.
"""
_FOUND = msgspec.msgpack.Decoder(Found)


class ReadingError(Exception):
    """A reading process ended without an answer; the message is one sentence."""


class ReadAhead:
    """A process that reads files before it is known which traces are wanted. Its context ends the process.

    Args:
        parts: What it reads; it holds all the spans.
        rest: What it leaves to the one who asks.
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
        """Return what the files hold of these traces; once.

        Raises:
            ReadingError: the process has ended.
        """
        _send(self._process, msgspec.json.encode(list(wanted)))
        rest = read(self._rest, wanted)
        return [_answer(self._process), rest]


def read_ahead(folder: Path, most: int = AHEAD_BYTES) -> ReadAhead | None:
    """Begin to read the files of a folder; None without files, and where they have more than `most` bytes."""
    files = files_in(folder)
    total = sum(size for _, size in files)
    return ReadAhead(*cut(files, (0, int(total * _AHEAD_SHARE), total))) if 0 < total <= most else None


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
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    answer = process.stdout.read()  # five megabytes: in a third of the time that `communicate` takes
    process.wait()
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
        found = found.only(msgspec.json.decode(lines.readline(), type=list[str]))
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))
    sys.stdout.buffer.flush()
    os._exit(0)  # the answer is over when this process has ended: without a tenth of a second of freeing its memory


if __name__ == "__main__":
    _main()
