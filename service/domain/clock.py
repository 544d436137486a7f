"""Unix time that never steps back."""

from __future__ import annotations

import time


class Clock:
    """Unix time: one reading of the wall clock plus the monotonic clock, so steps of the wall clock have no effect."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self._offset + time.monotonic()
