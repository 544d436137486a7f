"""Health of the generator: a run whose generator was the bottleneck does not measure the target."""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from typing import Self

INTERVAL = 0.02
"""Seconds between two samples of the event loop's lag."""

_Q = 0.99
_TAIL = 0.025


class Health:
    """A context manager that samples lag and CPU of this process; read the results after the exit."""

    def __init__(self) -> None:
        self._lags = array("d")
        self.cpu: float | None = None
        """CPU seconds per second of the window, all threads; 1.0 is one core."""

    async def __aenter__(self) -> Self:
        self._begin = time.monotonic()
        self._cpu_begin = time.process_time()
        self._sampler = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        window = time.monotonic() - self._begin
        self.cpu = (time.process_time() - self._cpu_begin) / window if window > 0 else None
        self._sampler.cancel()
        await asyncio.wait([self._sampler])

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

    async def _sample(self) -> None:
        while True:
            expected = time.monotonic() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self._lags.append(max(0.0, time.monotonic() - expected))  # uvloop's timers fire up to 1 ms early


def _may_lie_above(n: int) -> int:
    """Return the most values of `n` that lie above their true P99 with a probability of at least 2.5 % (binomial)."""
    count, left = 0, 1.0
    while True:
        ways = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
        left -= math.exp(ways + count * math.log(1 - _Q) + (n - count) * math.log(_Q))
        if left < _TAIL or count == n:
            return count
        count += 1
