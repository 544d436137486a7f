"""Time of a run: a clock that never steps, and a time limit for a task."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from types import TracebackType


class Clock:
    """Unix time that never steps: the difference of two readings is an exact duration in seconds."""

    __slots__ = ("now",)

    def __init__(self, wall: float, anchor: float, tick: Callable[[], float] = time.monotonic) -> None:
        """Anchor the clock.

        Args:
            wall: Unix time at the anchor.
            anchor: reading of `tick` at the anchor.
            tick: never steps.
        """

        # A function of local names: a job reads the clock a dozen times, and a method takes three times as long.
        def now() -> float:
            return wall + (tick() - anchor)

        self.now: Callable[[], float] = now
        """Return the Unix time in seconds."""

    @classmethod
    def start(cls) -> Clock:
        """Return a clock anchored at this instant."""
        return cls(wall=time.time(), anchor=time.monotonic())


class Deadlines:
    """The time limits of the tasks of one event loop: one timer, at the earliest of them.

    A timer for each job costs a tenth of the generator's work on it.
    """

    def __init__(self) -> None:
        self.pending: dict[Deadline, float] = {}
        """Time on the loop's clock at which each ends."""
        self.rings = math.inf
        """When the timer rings; uvloop's handle of a time that has passed does not say it."""
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> Deadline:
        """Return a context manager that raises TimeoutError after some seconds."""
        return Deadline(self, seconds)

    def arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        """Let the timer ring at a time on the loop's clock."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.rings = loop.call_at(at, self._ring), at

    def _ring(self) -> None:
        """Expire the time limits that have ended, and wait for the next one."""
        self._timer, self.rings = None, math.inf
        loop = asyncio.get_running_loop()
        now = loop.time()
        for deadline in [one for one, ends in self.pending.items() if ends <= now]:
            del self.pending[deadline]
            deadline.expire()
        if self.pending:
            self.arm(loop, min(self.pending.values()))


class Deadline:
    """A context manager that raises TimeoutError when its time limit has ended."""

    __slots__ = ("_cancelling", "_expired", "_of", "_seconds", "_task")

    def __init__(self, of: Deadlines, seconds: float) -> None:
        self._of = of
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "there is a task to cancel"
        self._task, self._cancelling = task, task.cancelling()
        seconds, of = self._seconds, self._of
        ends = of.pending[self] = loop.time() + (seconds if seconds > 0 else 0.0)
        if ends < of.rings:
            of.arm(loop, ends)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The timer stays until it rings, as the next time limit will mostly end later.
        self._of.pending.pop(self, None)
        # A cancellation from outside takes precedence over the time limit.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task; the exit of the context turns the cancellation into TimeoutError."""
        self._expired = True
        self._task.cancel()
