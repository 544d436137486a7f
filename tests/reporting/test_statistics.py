from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from reelbench.reporting.statistics.intervals import (
    Interval,
    Proportion,
    exact_proportion,
    mean_difference,
    mean_interval,
    percentile,
    proportion,
    summarize,
)


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_percentile_interval_equals_scipys(q: float) -> None:
    for n in (1, 2, 5, 20, 59, 71, 72, 100, 299, 367, 368, 1000):
        values = np.sort(np.random.default_rng(n).lognormal(size=n))
        expected = stats.quantile_test(values, p=q).confidence_interval(0.95)
        limits = (None if math.isnan(limit) else limit for limit in (expected.low, expected.high))
        assert percentile(values, q).interval == Interval(*limits), n


def test_smallest_sample_with_an_upper_limit() -> None:
    for q, n in ((0.95, 72), (0.99, 368)):
        assert percentile([float(i) for i in range(n)], q).interval.upper == n - 1
        assert percentile([float(i) for i in range(n - 1)], q).interval.upper is None


def test_a_percentile_is_an_observed_value() -> None:
    values = [float(i) for i in range(1, 21)]
    assert [percentile(values, q).value for q in (0.5, 0.95, 0.99)] == [10.0, 19.0, 20.0]


@pytest.mark.parametrize(("method", "interval"), [("wilson", proportion), ("exact", exact_proportion)])
def test_interval_of_a_proportion_equals_scipys(method: str, interval: Callable[[int, int], Proportion | None]) -> None:
    for k, n in ((0, 1), (1, 1), (0, 20), (1, 20), (19, 20), (20, 20), (25, 50), (396, 400), (3, 10_000)):
        expected = stats.binomtest(k, n).proportion_ci(0.95, method=method)
        found = interval(k, n)
        assert found is not None
        assert (found.value, found.lower, found.upper) == pytest.approx((k / n, expected.low, expected.high), abs=1e-10)


def test_zero_of_fifty_has_an_upper_limit_of_seven_percent() -> None:
    found = exact_proportion(0, 50)
    assert found is not None
    assert (found.lower, found.upper) == (0.0, pytest.approx(1 - 0.025 ** (1 / 50)))
    assert f"{found.upper:.3f}" == "0.071"
    assert exact_proportion(0, 0) is None


def test_interval_of_a_mean_equals_scipys() -> None:
    values = [6.7, 4.8, 5.1, 9.0]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean_interval(values)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))
    assert mean_interval([1.0]) == Interval(None, None)


def test_interval_of_a_difference_of_means_is_welchs() -> None:
    values, reference = [2.0, 2.5, 3.5, 2.2], [1.0, 1.1, 0.8]
    expected = stats.ttest_ind(values, reference, equal_var=False).confidence_interval(0.95)
    found = mean_difference(values, reference)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))
    assert mean_difference([1.0, 1.0], [3.0, 3.0]) == Interval(-2.0, -2.0)
    assert mean_difference([1.0], reference) == Interval(None, None)


def test_summary_of_a_known_sample() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    summary = summarize(values)
    assert summary is not None
    assert (summary.n, summary.minimum, summary.average, summary.maximum) == (4, 1.0, 2.5, 4.0)
    assert summary.stddev == pytest.approx(math.sqrt(5 / 3))


def test_zero_values_and_one_value() -> None:
    assert summarize([]) is None
    assert proportion(0, 0) is None
    one = summarize([2.0])
    assert one is not None
    assert (one.stddev, one.p99.value, one.p99.interval.upper) == (None, 2.0, None)
