"""Lines for the terminal; a reader that closes the stream early, such as ``head -1``, does not end the command."""

from __future__ import annotations

import os
from typing import IO


def write_line(text: str, stream: IO[str]) -> None:
    """Write a line at once; from the first line that nothing reads any more, lines go nowhere."""
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        discard(stream)


def discard(stream: IO[str]) -> None:
    """Send what a stream still holds, and all that is written to it later, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
