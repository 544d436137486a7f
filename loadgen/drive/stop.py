"""Early end of a run: graceful on the first signal, immediate on the second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from reelbench.ending import ending_signals

GRACEFUL_SECONDS = 30.0

T = TypeVar("T")


class Stop:
    """The two stages of a stop, which both stay set; once the run has ended, a signal no longer stops it."""

    def __init__(self, graceful_seconds: float = GRACEFUL_SECONDS) -> None:
        self.requested = asyncio.Event()
        """Graceful stop: no new jobs; jobs in flight may end."""
        self.aborted = asyncio.Event()
        """Jobs in flight are cut off."""
        self.released = asyncio.Event()
        """A signal came after the end of the run: nothing more is waited for."""
        self._ended = False
        self._graceful_seconds = graceful_seconds

    def request(self) -> None:
        """Enter the next stage; a graceful stop that takes too long becomes an abort."""
        if self._ended:
            self.released.set()
        elif self.requested.is_set():
            self.aborted.set()
        else:
            self.requested.set()
            asyncio.get_running_loop().call_later(self._graceful_seconds, self.aborted.set)

    def end(self) -> None:
        """Note that the run has ended: no signal changes what is recorded of it."""
        self._ended = True

    @contextmanager
    def on_signals(self, notify: Callable[[str], None]) -> Iterator[None]:
        """Request the stop on the signals that end a command; `notify` receives one line for the user each time."""
        loop = asyncio.get_running_loop()

        def handle() -> None:
            self.request()
            if self._ended:
                return
            if self.aborted.is_set():
                notify("stopping now; jobs in flight are recorded as aborted")
            else:
                notify(f"no new jobs; waiting up to {self._graceful_seconds:g} s for those in flight (again: stop now)")

        numbers = ending_signals()
        for number in numbers:
            loop.add_signal_handler(number, handle)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


async def run_unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Await `work`; cancel it and return None when `event` is set first. Errors of `work` are raised in both cases."""
    task, wake = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, wake}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        wake.cancel()
        task.cancel()
        await asyncio.wait({task, wake})
    with suppress(asyncio.CancelledError):
        return task.result()
    return None
