"""Health of the generator: a run whose generator was the bottleneck does not measure the target."""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections.abc import Callable
from typing import Self

INTERVAL = 0.02
"""Seconds between two samples of the event loop's lag."""

GAP = 0.5
"""Seconds of lag from which the event loop stood still: the process was stopped, or the machine slept."""

_Q = 0.99
_TAIL = 0.025


def awake_or_asleep() -> float:
    """Return monotonic seconds that also pass while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Health:
    """A context manager that samples lag and CPU of this process; read the results after the exit."""

    def __init__(self, tick: Callable[[], float] = awake_or_asleep) -> None:
        """Prepare the samples.

        Args:
            tick: monotonic seconds, in which a sleep of the machine counts.
        """
        self._tick = tick
        self._lags = array("d")
        self._expected = 0.0
        """When the next sample is due."""
        self.cpu: float | None = None
        """CPU seconds per second of the window, all threads; 1.0 is one core."""

    async def __aenter__(self) -> Self:
        self._begin = time.monotonic()
        self._expected = self._tick() + INTERVAL
        self._cpu_begin = time.process_time()
        self._sampler = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        window = time.monotonic() - self._begin
        self.cpu = (time.process_time() - self._cpu_begin) / window if window > 0 else None
        self._sampler.cancel()
        await asyncio.wait([self._sampler])
        late = self._tick() - self._expected
        if late >= GAP:  # the work ended in the turn of the loop that followed a gap, before the sampler
            self._lags.append(late)

    @property
    def lag_p99(self) -> float | None:
        """P99 of the event loop's lag in seconds (nearest rank); None without samples."""
        if not self._lags:
            return None
        return sorted(self._lags)[math.ceil(_Q * len(self._lags)) - 1]

    @property
    def lag_p99_lower(self) -> float | None:
        """Lower limit of the 95 % interval of that P99 in seconds, by order statistics; None with too few samples."""
        n = len(self._lags)
        above = _may_lie_above(n)
        return sorted(self._lags)[n - 1 - above] if above < n else None

    @property
    def stood_still(self) -> float:
        """Seconds of the window in which the event loop stood still.

        The P99 of the lags hides such a gap: it delays the samples that would show it, so 12 s are one sample.
        """
        return math.fsum(lag for lag in self._lags if lag >= GAP)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            now = self._tick()
            self._lags.append(max(0.0, now - self._expected))  # uvloop's timers fire up to 1 ms early
            self._expected = now + INTERVAL


def _may_lie_above(n: int) -> int:
    """Return the most values of `n` that lie above their true P99 with a probability of at least 2.5 % (binomial)."""
    count, left = 0, 1.0
    while True:
        ways = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
        left -= math.exp(ways + count * math.log(1 - _Q) + (n - count) * math.log(_Q))
        if left < _TAIL or count == n:
            return count
        count += 1
