"""Trend in autocorrelated samples: Mann-Kendall after Hamed and Rao, slope after Theil and Sen.

Memory of a process is strongly correlated from sample to sample, and a plain Mann-Kendall test then cries wolf one time
in five. Hamed and Rao (doi 10.1016/S0022-1694(97)00125-X) widen the variance of its S by the correlation of the ranks
of the detrended samples; with all lags that estimate is noisy, with the first three it is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from reelbench.reporting.statistics.intervals import CONFIDENCE, Interval
from reelbench.reporting.statistics.special_functions import ndtr, ndtri

LAGS = 3
MIN_SAMPLES = 5
"""Fewer samples have no correlation at three lags."""

MOST_CORRELATION = 0.8
"""Of neighbours: a larger factor than 9 leaves no interval at 24 values, and proves no leak there."""

Array = np.ndarray[Any, np.dtype[np.float64]]


class Trend(msgspec.Struct, frozen=True):
    """A trend in a series. The slope is in the unit of the values by the unit of the positions."""

    n: int
    p: float
    """Two-sided."""
    slope: float
    interval: Interval
    """95 %, with the same widened variance as the test."""
    inflation: float
    """Widening of the variance of S; 1 for independent samples."""

    @property
    def significant(self) -> bool:
        """True when p is below 0.05."""
        return self.p < 1 - CONFIDENCE


def trend(positions: Sequence[float], values: Sequence[float], *, remembered: bool = False) -> Trend | None:
    """Test for a trend and estimate its slope; None when there are fewer than five samples.

    Args:
        positions: of the values.
        values: in the order of their positions, equally far apart.
        remembered: whether each value may keep a part of all before it (AR(1)), as memory does; the variance is then
            at least that of such a series.
    """
    n = len(values)
    if n < MIN_SAMPLES:
        return None
    x, y = np.asarray(positions, dtype=float), np.asarray(values, dtype=float)
    low, high = np.triu_indices(n, 1)
    rises = y[high] - y[low]
    slopes = np.sort(rises / (x[high] - x[low]))
    slope = float(np.median(slopes))
    score = float(np.sum(np.sign(rises)))
    ranks = _ranks(y - slope * x)
    inflation = max(_inflation(ranks), _of_first_order(ranks) if remembered else 1.0)
    variance = _variance(y) * inflation
    z = (score - math.copysign(1, score)) / math.sqrt(variance) if score and variance else 0.0
    half = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    # ranks of the limits among the slopes, as scipy.stats.theilslopes has them
    below = max(round((len(slopes) - half) / 2) - 1, 0)
    above = min(round((len(slopes) + half) / 2), len(slopes) - 1)
    return Trend(
        n=n,
        p=float(2 * ndtr(-abs(z))),
        slope=slope,
        interval=Interval(float(slopes[below]), float(slopes[above])),
        inflation=inflation,
    )


def _variance(values: Array) -> float:
    """Variance of S for independent samples, with ties."""
    n = len(values)
    ties = np.unique(values, return_counts=True)[1]
    return float((n * (n - 1) * (2 * n + 5) - np.sum(ties * (ties - 1) * (2 * ties + 5))) / 18)


def _inflation(ranks: Array) -> float:
    """Widening of the variance of S by the significant correlations of the first lags; never below 1.

    Negative correlations would narrow the variance. A trend is then easier to see, but the estimate from few samples is
    no ground to be surer than with independent ones.
    """
    n = len(ranks)
    centred = ranks - ranks.mean()
    power = float(centred @ centred)
    if not power:
        return 1.0
    limit = float(ndtri((1 + CONFIDENCE) / 2)) / math.sqrt(n)
    total = 0.0
    for lag in range(1, LAGS + 1):
        correlation = float(centred[:-lag] @ centred[lag:]) / power
        if abs(correlation) > limit:
            total += (n - lag) * (n - lag - 1) * (n - lag - 2) * correlation
    return max(1 + 2 * total / (n * (n - 1) * (n - 2)), 1.0)


def _of_first_order(ranks: Array) -> float:
    """Widening of the variance of a series whose values depend on the one before: (1 + r) / (1 - r).

    The correlation r of detrended values is too small by about (2 + 4 r) / n (F. H. C. Marriott and J. A. Pope,
    doi 10.1093/biomet/41.3-4.390, for a mean; a slope as well doubles the constant).
    """
    n = len(ranks)
    centred = ranks - ranks.mean()
    power = float(centred @ centred)
    if not power:
        return 1.0
    found = float(centred[:-1] @ centred[1:]) / power
    corrected = min(found + (2 + 4 * found) / n, MOST_CORRELATION)
    return max((1 + corrected) / (1 - corrected), 1.0)


def _ranks(values: Array) -> Array:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=float)
