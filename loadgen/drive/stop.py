"""How a user ends a run early: once gently, twice at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

DRAIN_SECONDS = 30.0

T = TypeVar("T")


class Stop:
    """The two stages of stopping; both stay set."""

    def __init__(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        self.draining = asyncio.Event()
        """No new jobs; jobs in flight may end."""
        self.aborted = asyncio.Event()
        """Jobs in flight are cut off."""
        self._drain_seconds = drain_seconds

    def request(self) -> None:
        """Go one stage further; draining turns into aborting by itself when it takes too long."""
        if self.draining.is_set():
            self.aborted.set()
        else:
            self.draining.set()
            asyncio.get_running_loop().call_later(self._drain_seconds, self.aborted.set)

    @contextmanager
    def on_signals(self, notify: Callable[[str], None]) -> Iterator[None]:
        """Let SIGINT and SIGTERM ask for the stop; `notify` gets one line for the user each time."""
        loop = asyncio.get_running_loop()

        def handle() -> None:
            self.request()
            if self.aborted.is_set():
                notify("stopping now; jobs in flight are recorded as aborted")
            else:
                notify(f"no new jobs; waiting up to {self._drain_seconds:g} s for those in flight (again: stop now)")

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, handle)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


async def signalled(seconds: float) -> None:
    """Wait for SIGINT or SIGTERM, at most `seconds`."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    try:
        await run_unless(event, asyncio.sleep(seconds))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def run_unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Await `work`, but cancel it when `event` is set first; None then. Errors of `work` are raised in both cases."""
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
