"""Unix time that never steps back: one anchor of the wall clock plus the monotonic clock."""

from __future__ import annotations

import time


class Clock:
    """Seconds since the epoch; differences are exact even when the wall clock is stepped."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix time in seconds."""
        return self._offset + time.monotonic()
