"""Time of a run: a clock that never steps, and a time limit for a task."""

from __future__ import annotations

import asyncio
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
        self._pending: dict[Deadline, float] = {}
        """Time on the loop's clock at which each ends."""
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0
        """When the timer rings; uvloop's handle of a time that has passed does not say it."""

    def within(self, seconds: float) -> Deadline:
        """Return a context manager that raises TimeoutError after some seconds."""
        return Deadline(self, seconds)

    def add(self, deadline: Deadline, seconds: float) -> None:
        """Begin to wait for the end of a time limit."""
        loop = deadline.loop
        ends = loop.time() + (seconds if seconds > 0 else 0.0)
        self._pending[deadline] = ends
        if self._timer is None or ends < self._rings:
            self._arm(loop, ends)

    def remove(self, deadline: Deadline) -> None:
        """Stop waiting; the timer stays until it rings, as the next time limit will mostly end later."""
        self._pending.pop(deadline, None)

    def _arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings = loop.call_at(at, self._ring), at

    def _ring(self) -> None:
        """Expire the time limits that have ended, and wait for the next one."""
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for deadline in [one for one, ends in self._pending.items() if ends <= now]:
            del self._pending[deadline]
            deadline.expire()
        if self._pending:
            self._arm(loop, min(self._pending.values()))


class Deadline:
    """A context manager that raises TimeoutError when its time limit has ended."""

    __slots__ = ("_cancelling", "_expired", "_of", "_seconds", "_task", "loop")

    def __init__(self, of: Deadlines, seconds: float) -> None:
        self._of = of
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        self.loop = asyncio.get_running_loop()
        task = asyncio.current_task(self.loop)
        assert task is not None, "there is a task to cancel"
        self._task, self._cancelling = task, task.cancelling()
        self._of.add(self, self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._of.remove(self)
        # A cancellation from outside takes precedence over the time limit.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task; the exit of the context turns the cancellation into TimeoutError."""
        self._expired = True
        self._task.cancel()
