"""Change points of a series: where its mean moved, with a p value that counts the choice of the place.

Apache Otava splits the series by E-divisive (D. S. Matteson and N. A. James, JASA 109 (2014) 334) and merges what its
t-test does not confirm (M. Fleming et al., "Hunter", ICPE 2023, doi 10.1145/3578244.3583719). The p of that test is not
the chance of a false alarm: the place was chosen as the best of all, the test takes the standard deviation of the
sample for that of the population, and it takes neighbouring values for independent. So each change point is tested here
once more: for all places at which it could be, and for values that are correlated with the value before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from otava.analysis import split
from scipy import stats

LEAST_SIDE = 3
"""Values that a change needs on both sides: one or two outliers are no change."""
LEAST = 2 * LEAST_SIDE
"""Least number of values in which a change can be found."""
WEAK = 10
"""A place is a candidate up to this multiple of the level, as in Hunter; the test that follows decides."""
WINDOW = 12
"""Values of a window in which E-divisive searches, as well as in the whole series."""
CORRELATION = 0.2
"""Correlation of neighbouring values that the test allows for: runs of one day share the state of the machine.

An estimate from 30 values is off by 0.18 and from 6 values says nothing, so the correlation is laid down. Of 0.15, 0.2
and 0.25 it is the least with which an alarm is possible in at most 5 % of simulated histories of AR(1) 0.3.
"""


class ChangePoint(msgspec.Struct, frozen=True):
    """A place at which the mean of a series moved."""

    index: int
    """The first value after the change."""
    before: float
    """Mean of the values between this change point and the one before it."""
    after: float
    n_before: int
    n_after: int
    p: float | None
    """Upper limit of the chance of such a difference anywhere in a series without a change; None where no side spreads.
    """


def change_points(
    values: Sequence[float], level: float, least_change: float, *, logarithmic: bool = False
) -> tuple[ChangePoint, ...]:
    """Return the change points of a series in order.

    Args:
        values: Values in order of time.
        level: Greatest p of a change point.
        least_change: Least relative difference of the means.
        logarithmic: Test the logarithms where all values are positive. Times, rates and sizes spread by a share of
            their mean and are skewed; their logarithms are less so.
    """
    if len(values) < LEAST or len(set(values)) == 1:
        return ()
    scaled = [math.log(value) for value in values] if logarithmic and min(values) > 0 else values
    places = _candidates(scaled, WEAK * level)
    while True:
        points = _tested(values, scaled, places)
        dropped = _weakest(points, level, least_change)
        if dropped is None:
            return points
        places.remove(dropped.index)  # its neighbours are tested again with the longer sides


def _candidates(values: Sequence[float], weak: float) -> list[int]:
    """Return the places that E-divisive finds in the whole series and in windows of it.

    Against the whole rest of a series, the t-test does not find a shift that went back.
    """
    with np.errstate(all="ignore"):  # t of two constant sides divides by zero
        # of a list: of an array, Otava adds the start of each window to places that already count from the beginning
        found = [split(list(values), length, weak) for length in {len(values), WINDOW}]
    return sorted({int(point.index) for points in found for point in points})


def _weakest(points: Sequence[ChangePoint], level: float, least_change: float) -> ChangePoint | None:
    """Return the change point that is dropped next, as in the merging of Hunter; None when all of them hold."""
    short = [point for point in points if min(point.n_before, point.n_after) < LEAST_SIDE]
    unproven = [point for point in points if point.p is not None and point.p > level]
    small = [point for point in points if _relative(point) < least_change]
    if short or unproven:
        return max(unproven or short, key=lambda point: point.p or 0.0)
    return min(small, key=_relative, default=None)


def _relative(point: ChangePoint) -> float:
    """Return the size of a change relative to the smaller of both means; infinite where that is zero."""
    least = min(abs(point.before), abs(point.after))
    return abs(point.after - point.before) / least if least else math.inf


def _tested(values: Sequence[float], scaled: Sequence[float], places: Sequence[int]) -> tuple[ChangePoint, ...]:
    """Return the change points at some places with their p.

    The p counts as often as the two sides can be chosen (Bonferroni): of the places at which a series can change, one
    between the sides, and one at each end of them that is not an end of the series.
    """
    bounds = [0, *places, len(values)]
    points = []
    for number, index in enumerate(places, start=1):
        begin, end = bounds[number - 1], bounds[number + 1]
        before, after = _mean(values[begin:index]), _mean(values[index:end])
        chosen = 1 + (number > 1) + (number < len(places))
        difference, p = shift(scaled[begin:index], scaled[index:end])
        if p is not None:  # a mean of logarithms can rise while the mean that is reported falls
            p = min(1.0, math.comb(len(values) - 1, chosen) * p) if difference * (after - before) > 0 else 1.0
        points.append(ChangePoint(index, before, after, index - begin, end - index, p))
    return tuple(points)


def shift(before: Sequence[float], after: Sequence[float]) -> tuple[float, float | None]:
    """Return the difference of the means of two neighbouring stretches, and its two-sided p; None without spread.

    The test is Student's t with pooled variance, for values of which neighbours are correlated by `CORRELATION`.
    """
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    difference = float(second.mean() - first.mean())
    if len({*before}) == 1 and len({*after}) == 1:
        return difference, None
    n, m = len(first), len(second)
    squares = float(np.sum((first - first.mean()) ** 2) + np.sum((second - second.mean()) ** 2))
    widening, freedom = widened(n, m)
    error = math.sqrt(widening * squares / (n + m - 2) * (1 / n + 1 / m))
    return difference, float(2 * stats.t.sf(abs(difference) / error, freedom))


@lru_cache(maxsize=4096)
def widened(n: int, m: int, correlation: float = CORRELATION) -> tuple[float, float]:
    """Return what a correlation of neighbours does to the t-test of two stretches of one series: AR(1), R = r^|i - j|.

    Returns:
        The factor on the squared standard error: variance of the difference of means, over what the pooled variance
        makes it on average. The degrees of freedom of the pooled variance after F. E. Satterthwaite (Biometrics
        Bulletin 2 (1946) 110). With a correlation of 0 they are 1 and n + m - 2.
    """
    places = np.arange(n + m)
    related = correlation ** np.abs(places[:, None] - places[None, :])
    weights = np.where(places < n, -1 / n, 1 / m)
    centred = related.copy()
    centred[:n] -= related[:n].mean(axis=0)
    centred[n:] -= related[n:].mean(axis=0)
    trace = float(np.trace(centred))
    pooled = trace / (n + m - 2) * (1 / n + 1 / m)
    return float(weights @ related @ weights) / pooled, trace**2 / float(np.sum(centred * centred.T))


def _mean(side: Sequence[float]) -> float:
    return math.fsum(side) / len(side)
