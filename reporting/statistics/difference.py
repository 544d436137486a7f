"""Intervals of a difference and of a ratio, from those of the two sides.

MOVER, the method of variance estimates recovery: G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693 for the
difference; A. Donner and G. Y. Zou, Statistical Methods in Medical Research 21 (2012) 347 for the ratio. It takes any
interval of each side, so it holds for percentiles with intervals by order statistics, and gives no limit where a side
has none. With Wilson's intervals of two proportions it is Newcombe's method 10 (R. G. Newcombe, Statistics in Medicine
17 (1998) 873).
"""

from __future__ import annotations

import math

import msgspec

from reelbench.reporting.statistics.intervals import Interval, proportion


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval."""

    value: float
    interval: Interval


NOWHERE = Interval(None, None)


def difference(run: Estimate, baseline: Estimate) -> Interval:
    """Interval of run - baseline."""
    value = run.value - baseline.value
    below = _hypot(run.value, run.interval.lower, baseline.value, baseline.interval.upper)
    above = _hypot(run.value, run.interval.upper, baseline.value, baseline.interval.lower)
    return Interval(None if below is None else value - below, None if above is None else value + above)


def relative(run: Estimate, baseline: Estimate) -> Interval:
    """Interval of run / baseline - 1; no limits where the interval of a side lacks a limit or is not above zero."""
    lower, upper = run.interval.lower, run.interval.upper
    below, above = baseline.interval.lower, baseline.interval.upper
    if lower is None or upper is None or below is None or above is None or below <= 0 or lower < 0:
        return NOWHERE
    product = run.value * baseline.value
    bottom = above * (2 * baseline.value - above)
    under_root = product**2 - lower * bottom * (2 * run.value - lower)
    least = (product - math.sqrt(under_root)) / bottom - 1 if bottom > 0 and under_root >= 0 else None
    top = below * (2 * baseline.value - below)
    root = math.sqrt(max(product**2 - upper * top * (2 * run.value - upper), 0.0))
    return Interval(least, (product + root) / top - 1)


def newcombe(run: tuple[int, int], baseline: tuple[int, int]) -> Interval:
    """Interval of the difference of two proportions, each k of n."""
    return difference(share(*run), share(*baseline))


def share(k: int, n: int) -> Estimate:
    """`k` of `n`, with Wilson's interval."""
    found = proportion(k, n)
    assert found is not None, "a share of nothing is no share"
    return Estimate(found.value, Interval(found.lower, found.upper))


def holds_zero(interval: Interval) -> bool:
    """True unless the interval lies on one side of zero; an unknown limit may lie anywhere."""
    above = interval.lower is not None and interval.lower > 0
    below = interval.upper is not None and interval.upper < 0
    return not (above or below)


def _hypot(run: float, run_limit: float | None, baseline: float, baseline_limit: float | None) -> float | None:
    """Return the combined distance of both values from these limits."""
    if run_limit is None or baseline_limit is None:
        return None
    return math.hypot(run - run_limit, baseline - baseline_limit)
