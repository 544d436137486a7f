"""A thread that writes to disk: a slow disk must not hold up the event loop, which measures."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

QUEUE_BYTES: Final = 32 * 1024**2
"""Most bytes in memory that wait for the disk; a file that would exceed them is given up."""


class DiskWriter:
    """Runs actions in a thread, in the order of the calls."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Callable[[], None], int] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Each is changed by one thread alone.
        self._given = 0
        self._done = 0

    def fits(self, size: int) -> bool:
        """Return whether an action with that many bytes may wait."""
        return self._given - self._done + size <= QUEUE_BYTES

    def do(self, action: Callable[[], None], size: int = 0) -> None:
        """Let the thread run an action, which raises nothing and holds `size` bytes."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="disk writer", daemon=True)
            self._thread.start()
        self._given += size
        self._queue.put((action, size))

    def flush(self) -> None:
        """Wait until the actions so far have run."""
        if self._thread is not None:
            done = threading.Event()
            self.do(done.set)
            done.wait()

    def close(self) -> None:
        """Run the actions so far and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            action, size = item
            action()
            self._done += size
