from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reelbench.reporting.statistics.difference import (
    NOWHERE,
    Estimate,
    difference,
    holds_zero,
    newcombe,
    relative,
    share,
)
from reelbench.reporting.statistics.intervals import Interval, percentile


def test_newcombe_interval_equals_the_published_table() -> None:
    for run, baseline, limits in (  # Newcombe (1998), table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
    ):
        found = newcombe(run, baseline)
        assert (found.lower, found.upper) == pytest.approx(limits, abs=1e-4)
    assert share(20, 20).interval.upper == 1.0  # Wilson's interval
    assert share(20, 20).interval.lower == pytest.approx(0.8389, abs=1e-4)


def test_interval_of_a_ratio_of_means_is_close_to_fieller() -> None:
    rng = np.random.default_rng(2)
    run, baseline = rng.normal(13, 2, 60), rng.normal(10, 2, 60)
    sides = []
    for sample in (run, baseline):
        ci = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
        sides.append(Estimate(float(sample.mean()), Interval(float(ci.low), float(ci.high))))
    found = relative(*sides)
    # Fieller: roots of (a - r b)^2 = t^2 (va + r^2 vb)
    a, b = run.mean(), baseline.mean()
    va, vb, t = run.var(ddof=1) / 60, baseline.var(ddof=1) / 60, stats.t.ppf(0.975, 59)
    roots = np.sort(np.roots([b * b - t * t * vb, -2 * a * b, a * a - t * t * va])) - 1
    assert (found.lower, found.upper) == pytest.approx(tuple(roots), rel=1e-6)


def test_missing_limits_propagate_and_a_ratio_to_zero_has_no_interval() -> None:
    few, many = Estimate(1.0, Interval(0.5, None)), Estimate(2.0, Interval(1.5, 3.0))
    assert difference(few, many) == Interval(1.0 - 2.0 - (0.5**2 + 1.0**2) ** 0.5, None)
    assert relative(few, many) == NOWHERE

    near_zero = Estimate(1.0, Interval(-0.1, 2.1))
    assert relative(Estimate(2.0, Interval(1.0, 3.0)), near_zero) == NOWHERE
    assert relative(near_zero, Estimate(2.0, Interval(1.0, 3.0))) == NOWHERE


def test_an_interval_on_one_side_of_zero_excludes_zero() -> None:
    for one in (Interval(0.1, 0.2), Interval(-0.2, -0.1), Interval(0.1, None)):
        assert not holds_zero(one)
    for one in (Interval(-0.1, 0.1), Interval(None, None), Interval(None, 0.1)):
        assert holds_zero(one)


def test_intervals_of_percentile_differences_have_their_nominal_coverage() -> None:
    for q, n, least in ((0.5, 30, 0.94), (0.95, 100, 0.94), (0.95, 400, 0.93)):
        rng = np.random.default_rng(11)
        truth = 0.3 * float(np.exp(0.5 * stats.norm.ppf(q)))
        covered = 0
        for _ in range(400):
            found = [percentile(np.sort(scale * rng.lognormal(0.0, 0.5, n)), q) for scale in (1.3, 1.0)]
            interval = difference(*(Estimate(f.value, f.interval) for f in found))
            assert interval.lower is not None
            assert interval.upper is not None
            covered += interval.lower <= truth <= interval.upper
        assert covered / 400 >= least
