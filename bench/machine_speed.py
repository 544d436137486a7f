"""The speed of the machine while something else is measured: CPU time of a fixed piece of work, again and again."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

INTERVAL: Final = 0.25
"""Seconds between two pieces of work."""
ADDENDS: Final = 50_000
"""Numbers that a piece of work adds up, some 2 ms of CPU: under one per cent of a core."""


def piece() -> float:
    """Do one piece of work and return its CPU time in seconds."""
    begun = time.thread_time()
    sum(range(ADDENDS))
    for _ in range(ADDENDS):
        pass
    return time.thread_time() - begun


class MachineSpeed:
    """Does a piece of work in each interval, from a thread, while the context is open.

    Args:
        work: Does one piece and returns its CPU time in seconds.
        interval: Seconds between two pieces.
        clock: Unix time in seconds.
    """

    def __init__(
        self, work: Callable[[], float] = piece, *, interval: float = INTERVAL, clock: Callable[[], float] = time.time
    ) -> None:
        self._work = work
        self._interval = interval
        self._clock = clock
        self._over = Event()
        self._thread = Thread(target=self._measure, name="machine speed", daemon=True)
        self.pieces: list[tuple[float, float]] = []
        """Unix time and CPU seconds of each piece."""

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._over.wait(self._interval):
            self.pieces.append((self._clock(), self._work()))


def median_within(pieces: Sequence[tuple[float, float]], begin: float, end: float) -> float | None:
    """Return the median CPU seconds of the pieces between two Unix times; None: there are none."""
    found = [seconds for at, seconds in pieces if begin <= at <= end]
    return statistics.median(found) if found else None
