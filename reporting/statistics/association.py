"""Association of two series by their ranks: Spearman's rho."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

from reelbench.reporting.statistics.intervals import Interval
from reelbench.reporting.statistics.special_functions import stdtr

LEAST = 10
"""Pairs from which on p and interval are near their nominal level."""
_Z = 1.959963984540054


class Association(msgspec.Struct, frozen=True):
    """Spearman's rho of n pairs."""

    rho: float
    n: int
    p: float
    """Two-sided, by Student's t."""
    interval: Interval
    """95 %: Fisher's z with the variance of Bonett and Wright (doi 10.1007/BF02294183)."""


def association(first: Sequence[float], second: Sequence[float]) -> Association | None:
    """Return the association of pairs; None with fewer than 10 pairs, or when a side does not vary."""
    n = len(first)
    if n < LEAST or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    middle = (n + 1) / 2
    a, b = ([rank - middle for rank in _ranks(side)] for side in (first, second))
    rho = math.fsum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        math.fsum(x * x for x in a) * math.fsum(y * y for y in b)
    )
    rho = min(max(rho, -1.0), 1.0)
    if abs(rho) == 1:
        return Association(rho, n, 0.0, Interval(rho, rho))
    t = rho * math.sqrt((n - 2) / (1 - rho * rho))
    half = _Z * math.sqrt((1 + rho * rho / 2) / (n - 3))
    z = math.atanh(rho)
    return Association(rho, n, float(2 * stdtr(n - 2, -abs(t))), Interval(math.tanh(z - half), math.tanh(z + half)))


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, from 1; equal values have the mean of their ranks."""
    ordered = sorted(values)
    return [(bisect_left(ordered, value) + bisect_right(ordered, value) + 1) / 2 for value in values]
