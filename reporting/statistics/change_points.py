"""Change points of a series: where its mean moved, with a p value that counts the choice of the place.

Apache Otava splits the series by E-divisive (D. S. Matteson and N. A. James, JASA 109 (2014) 334) and merges what its
t-test does not confirm (M. Fleming et al., "Hunter", ICPE 2023, doi 10.1145/3578244.3583719). The p of that test is not
the chance of a false alarm: the place was chosen as the best of all, and the test takes the standard deviation of the
sample for that of the population. So each change point is tested here once more, for all places at which it could be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A place at which the mean of a series moved."""

    index: int
    """The first value after the change."""
    before: float
    """Mean of the values between this change point and the one before it."""
    after: float
    n_before: int
    n_after: int
    p: float | None
    """Chance of such a difference at any place of a series without a change; None where neither side spreads."""


def change_points(values: Sequence[float], level: float, least_change: float) -> tuple[ChangePoint, ...]:
    """Return the change points of a series in order.

    Args:
        values: Values in order of time.
        level: Greatest p of a change point.
        least_change: Least relative difference of the means.
    """
    if len(values) < LEAST or len(set(values)) == 1:
        return ()
    places = _candidates(values, WEAK * level)
    while True:
        points = _tested(values, places)
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


def _tested(values: Sequence[float], places: Sequence[int]) -> tuple[ChangePoint, ...]:
    """Return the change points at some places with their p.

    The p of Student's t (n - 1) counts as often as its two sides can be chosen (Bonferroni): of the places at which a
    series can change, one between the sides, and one at each end of them that is not an end of the series.
    """
    bounds = [0, *places, len(values)]
    points = []
    for number, index in enumerate(places, start=1):
        before, after = values[bounds[number - 1] : index], values[index : bounds[number + 1]]
        chosen = 1 + (number > 1) + (number < len(places))
        means = math.fsum(before) / len(before), math.fsum(after) / len(after)
        p = None
        if len({*before}) > 1 or len({*after}) > 1:
            moments = [part for side in (before, after) for part in (float(np.mean(side)), _deviation(side), len(side))]
            p = min(1.0, math.comb(len(values) - 1, chosen) * float(stats.ttest_ind_from_stats(*moments).pvalue))
        points.append(ChangePoint(index, *means, len(before), len(after), p))
    return tuple(points)


def _deviation(side: Sequence[float]) -> float:
    return float(np.std(side, ddof=1)) if len(side) > 1 else 0.0
