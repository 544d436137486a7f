"""Estimates from blocks of one measurement: a mean, a ratio, and the interval of their combination.

Blocks that are long against what makes neighbours alike are nearly independent (batch means: A. M. Law, Simulation
Modeling and Analysis, 5th ed., 2015, section 9.5.3). The variance of a ratio is that of its linearization (W. G.
Cochran, Sampling Techniques, 3rd ed., 1977, section 2.11). Degrees of freedom of a sum: Welch and Satterthwaite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from reelbench.reporting.statistics.intervals import CONFIDENCE, Interval
from reelbench.reporting.statistics.special_functions import stdtrit

BLOCKS_METHOD = "blocks, Student's t"
LEAST_BLOCKS = 2


class Estimated(msgspec.Struct, frozen=True):
    """A number from blocks."""

    value: float
    n: int
    """Blocks."""
    variance: float | None
    """Of the value; None for one block."""

    @property
    def interval(self) -> Interval:
        """95 % interval by Student's t."""
        return interval(self.value, [(1.0, self)])


def mean(values: Sequence[float]) -> Estimated:
    """Return the mean of equally long blocks."""
    n = len(values)
    middle = math.fsum(values) / n
    squares = math.fsum((value - middle) ** 2 for value in values)
    return Estimated(middle, n, squares / (n - 1) / n if n >= LEAST_BLOCKS else None)


def ratio(amounts: Sequence[float], units: Sequence[float]) -> Estimated | None:
    """Return the sum of amounts by the sum of units, both by block; None without units."""
    n, whole = len(amounts), math.fsum(units)
    if not whole:
        return None
    value = math.fsum(amounts) / whole
    squares = math.fsum((amount - value * unit) ** 2 for amount, unit in zip(amounts, units, strict=True))
    return Estimated(value, n, n / (n - 1) * squares / whole**2 if n >= LEAST_BLOCKS else None)


def interval(value: float, terms: Sequence[tuple[float, Estimated]]) -> Interval:
    """Return the 95 % interval of a weighted sum of independent estimates; no limits when one has a single block.

    Args:
        value: the sum.
        terms: weight and estimate.
    """
    parts = [(weight**2 * one.variance, one.n - 1) for weight, one in terms if one.variance is not None]
    if len(parts) < len(terms) or not parts:
        return Interval(None, None)
    variance = math.fsum(part for part, _ in parts)
    if not variance:
        return Interval(value, value)
    freedom = variance**2 / math.fsum(part**2 / free for part, free in parts)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return Interval(value - half, value + half)
