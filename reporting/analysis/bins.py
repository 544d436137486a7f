"""Events and readings in bins of equal length: counts, quantiles, jobs in progress, rates of counters, last values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Values = tuple[float | None, ...]
DIGITS = 4
"""Significant digits of a value: a chart shows no more, and the data of a page stays small."""


class Bins(msgspec.Struct, frozen=True):
    """A time axis of `count` bins of `step` seconds."""

    start: float
    step: float
    count: int

    @property
    def edges(self) -> Numbers:
        """Borders of the bins in Unix seconds, one more than bins."""
        found: Numbers = self.start + self.step * np.arange(self.count + 1, dtype=np.float64)
        return found

    def rate(self, times: Numbers) -> Values:
        """Return events per second in each bin."""
        counts = np.histogram(times, self.edges)[0]
        return tuple(short(float(count) / self.step) for count in counts)

    def quantiles(self, times: Numbers, values: Numbers, shares: Sequence[float]) -> tuple[Values, ...]:
        """Return quantiles of the values of events in each bin, each an observed value; None in a bin without one."""
        order = np.argsort(times, kind="stable")
        borders = np.searchsorted(times[order], self.edges)
        borders[-1] = np.searchsorted(times[order], self.edges[-1], side="right")  # as in a histogram
        found: list[list[float | None]] = [[None] * self.count for _ in shares]
        for number in np.flatnonzero(np.diff(borders)):
            part = np.sort(values[order[borders[number] : borders[number + 1]]])
            for line, share in zip(found, shares, strict=True):
                line[number] = short(float(part[max(math.ceil(share * len(part) - 1e-9), 1) - 1]))
        return tuple(tuple(line) for line in found)

    def in_progress(self, begins: Numbers, ends: Numbers) -> Values:
        """Return the mean number of intervals that are open in each bin."""
        edges = self.edges
        open_until = _passed(begins, edges) - _passed(ends, edges)  # seconds of all intervals up to each border
        return tuple(short(max(float(length), 0.0) / self.step) for length in np.diff(open_until))

    def slopes(self, times: Numbers, totals: Numbers, gap: float) -> Values:
        """Return the increase per second of a counter in each bin.

        Args:
            times: Instants of the readings, in order.
            totals: Readings of the counter.
            gap: Seconds between two readings from which on nothing is known in between.
        """
        if len(times) < 2:  # noqa: PLR2004 - one reading has no increase
            return (None,) * self.count
        edges = self.edges
        at = np.interp(edges, times, totals)
        known = self._known(times, edges, gap)
        return tuple(
            short(max(float(at[i + 1] - at[i]), 0.0) / self.step) if known[i] and known[i + 1] else None
            for i in range(self.count)
        )

    def last(self, times: Numbers, values: Numbers, gap: float) -> Values:
        """Return the last reading up to the end of each bin; None when it is older than `gap` seconds."""
        ends = self.edges[1:]
        found = np.searchsorted(times, ends, side="right") - 1
        return tuple(
            short(float(values[i])) if i >= 0 and end - times[i] <= max(gap, self.step) else None
            for i, end in zip(found, ends, strict=True)
        )

    def _known(self, times: Numbers, edges: Numbers, gap: float) -> list[bool]:
        after = np.searchsorted(times, edges, side="left")
        return [
            bool(i < len(times) and (times[i] == edge or (i > 0 and times[i] - times[i - 1] <= gap)))
            for i, edge in zip(after, edges, strict=True)
        ]


def bins(start: float, end: float, step: float) -> Bins:
    """Return the bins from a start to an end; at least one."""
    return Bins(start, step, max(math.ceil((end - start) / step - 1e-6), 1))


def short(value: float) -> float:
    """Return a value with the digits that a chart shows."""
    return float(f"{value:.{DIGITS}g}")


def _passed(instants: Numbers, edges: Numbers) -> Numbers:
    """Return the seconds from all instants before a border to it, added up, for each border."""
    ordered = np.sort(instants) - edges[0]
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    before = np.searchsorted(ordered, edges - edges[0])
    found: Numbers = before * (edges - edges[0]) - sums[before]
    return found
