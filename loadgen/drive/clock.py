"""One time line per run: the wall clock read once, the monotonic clock ever after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Unix time that never steps: differences of two readings are exact durations in seconds."""

    wall: float
    """Unix time at the anchor."""
    anchor: float
    """Reading of `tick` at the anchor."""
    tick: Callable[[], float] = time.monotonic

    @classmethod
    def start(cls) -> Clock:
        """Anchor a clock at this instant."""
        return cls(wall=time.time(), anchor=time.monotonic())

    def now(self) -> float:
        """Unix time in seconds."""
        return self.wall + (self.tick() - self.anchor)
