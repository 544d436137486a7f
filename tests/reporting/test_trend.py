"""Reference values of pymannkendall 1.4.3 (hamed_rao_modification_test, lag=3) and scipy 1.17.1 (theilslopes)."""

from __future__ import annotations

import numpy as np
import pytest

from reelbench.reporting.statistics.trend import Trend, trend


def ar1(rng: np.random.Generator, n: int, rho: float, slope: float = 0.0, scale: float = 1.0) -> list[float]:
    noise = rng.standard_normal(n) * scale
    for i in range(1, n):
        noise[i] += rho * noise[i - 1]
    return list(noise + slope * np.arange(n))


def found(values: list[float]) -> Trend:
    result = trend(list(range(len(values))), values)
    assert result is not None
    return result


def test_independent_samples_give_the_plain_test_and_interval() -> None:
    result = found([3, 4, 2, 5, 5, 7, 6, 6, 9, 8, 8, 10])
    assert result.inflation == 1
    assert result.p == pytest.approx(0.0005542463573600109, rel=1e-9)
    assert (result.slope, result.interval.lower, result.interval.upper) == pytest.approx(
        (0.6, 0.42857142857142855, 0.8)
    )
    assert result.significant


@pytest.mark.parametrize(
    ("n", "rho", "seed", "slope", "p", "sen", "inflation"),
    [
        (60, 0.8, 2, 0.1, 7.800216028641671e-10, 0.12124435847840104, 46223.44461470779 / 24557.666666666668),
        (24, 0.6, 3, 0.2, 3.766812704553146e-05, 0.2675438596491228, 1.0),
        (40, 0.9, 4, 0.05, 0.9483149303386071, 0.0, 19276.438429450987 / 7337.333333333333),
    ],
)
def test_correlation_widens_the_variance_as_in_hamed_and_rao(  # noqa: PLR0917 - a row of the table
    n: int, rho: float, seed: int, slope: float, p: float, sen: float, inflation: float
) -> None:
    values = [round(value, 1) for value in ar1(np.random.default_rng(seed), n, rho, slope)]
    result = found(values)
    assert result.p == pytest.approx(p, rel=1e-6)
    assert result.slope == pytest.approx(sen)
    assert result.inflation == pytest.approx(inflation)


def test_a_straight_line_has_its_exact_slope() -> None:
    result = trend([0.0, 0.5, 2.0, 3.0, 4.5, 5.0, 7.0], [1.0, 2.0, 5.0, 7.0, 10.0, 11.0, 15.0])
    assert result is not None
    assert (result.slope, result.interval.lower, result.interval.upper) == (2.0, 2.0, 2.0)
    assert result.significant


def test_equal_samples_have_no_trend() -> None:
    result = found([5.0] * 30)
    assert (result.p, result.slope, result.interval.lower, result.significant) == (1.0, 0.0, 0.0, False)


def test_a_negative_correlation_never_narrows_the_variance() -> None:
    result = found([float(i % 2) for i in range(20)])
    assert result.inflation == 1
    assert not result.significant


def test_four_samples_are_too_few() -> None:
    assert trend([0, 1, 2, 3], [1, 2, 3, 4]) is None


@pytest.mark.parametrize(
    ("n", "most_alarms", "least_found"), [(18, 0.19, 0.35), pytest.param(60, 0.13, 0.90, marks=pytest.mark.extended)]
)
def test_error_rates_of_the_trend_test_on_correlated_noise(n: int, most_alarms: float, least_found: float) -> None:
    """Rises found in noise without a trend, and found rises of a tenth of the innovations; correlation 0.8."""
    rng = np.random.default_rng(7)

    def share(slope: float) -> float:
        results = [found(ar1(rng, n + 50, 0.8, slope)[50:]) for _ in range(1000)]
        return sum(r.significant and r.slope > 0 for r in results) / len(results)

    alarms, power = share(0.0), share(0.1)
    assert alarms <= most_alarms
    assert power >= least_found


def test_the_leak_rule_has_no_false_alarm_and_finds_twice_the_budget() -> None:
    """18 samples of 3.3 jobs each, innovations of 0.3 MB, a budget of 0.1 MB per job."""
    rng = np.random.default_rng(7)

    def alarms(leak: float) -> int:
        hits = 0
        for _ in range(300):
            values = ar1(rng, 68, 0.8, leak * 3.3, 0.3)[50:]
            result = trend([3.3 * i for i in range(18)], values)
            assert result is not None
            hits += result.significant and (result.interval.lower or 0.0) > 0.1
        return hits

    assert alarms(0.0) == 0
    assert alarms(0.2) == 300
