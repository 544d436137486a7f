"""One reader of outside bytes, as the fuzzers and the replay of their findings see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

MOST_CALLS = 3_000_000
"""Calls of functions in one case of the replay: a bound of work that does not depend on the speed of the machine."""
MOST_CHARACTERS = 100_000
"""Of the text of an error."""


@dataclass(frozen=True)
class Reader:
    """A function that reads bytes of others, and what it may raise."""

    name: str
    read: Callable[[bytes, Path], object]
    """Reads the bytes; the folder is for files of the case."""
    seeds: Callable[[], Sequence[bytes]]
    """Valid inputs, from which the fuzzer begins."""
    refused: tuple[type[Exception], ...] = ()
    """The reader's own errors; every other exception is a finding."""
    words: tuple[bytes, ...] = ()
    """Words that mean something to the reader."""
    weight: int = 4
    """Share of the cases."""
    most: int = 4096
    """Most bytes of a case."""

    def try_case(self, data: bytes, folder: Path) -> None:
        """Read one case.

        Raises:
            Exception: a finding.
        """
        try:
            self.read(data, folder)
        except self.refused as error:
            text, kind = str(error), type(error).__name__
        else:
            return
        assert text.strip(), f"{kind} without a text"
        assert len(text) < MOST_CHARACTERS, f"{kind} with {len(text)} characters"


class TooManyCallsError(Exception):
    """A case takes more calls than the bound."""


@contextmanager
def bounded_calls(most: int = MOST_CALLS) -> Iterator[None]:
    """Raise TooManyCallsError in a block that makes more calls than `most`."""
    made = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal made
        if event in {"call", "c_call"}:
            made += 1
            if made > most:
                raise TooManyCallsError(f"more than {most} calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
