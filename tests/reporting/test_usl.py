"""The fit of the Universal Scalability Law, compared with scipy and with known curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from reelbench.reporting.statistics.intervals import Interval
from reelbench.reporting.statistics.usl import fit

LEVELS = [1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0]


def law(n: float, alpha: float, beta: float, gamma: float) -> float:
    return gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))


def noisy(seed: int, alpha: float, beta: float, gamma: float, noise: float) -> list[float]:
    rng = np.random.default_rng(seed)
    return [law(n, alpha, beta, gamma) * (1 + noise * rng.standard_normal()) for n in LEVELS]


CURVES = (
    (0.02, 0.0005, 3.0),
    (0.2, 0.001, 995.6),
    (0.0, 0.002, 10.0),
    (0.05, 0.0, 2.0),
    (0.0, 0.0, 1.5),
    (0.5, 0.05, 7.0),
)


def test_the_coefficients_of_a_known_curve_are_found() -> None:
    for curve in CURVES:
        found = fit(LEVELS, [law(n, *curve) for n in LEVELS])
        assert found is not None
        assert (found.alpha.value, found.beta.value, found.gamma.value) == pytest.approx(curve, abs=1e-7)
        assert (found.rmse, found.r_squared) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_noisy_fit_and_its_intervals_equal_scipys(seed: int) -> None:
    measured = noisy(seed, 0.06, 0.0008, 3.0, 0.02)
    expected, covariance = optimize.curve_fit(
        lambda n, a, b, g: g * n / (1 + a * (n - 1) + b * n * (n - 1)), LEVELS, measured, p0=(0.05, 0.001, 3)
    )
    assert np.all(expected > 0)  # so scipy's unbounded fit equals the bounded one
    found = fit(LEVELS, measured)
    assert found is not None
    coefficients = (found.alpha, found.beta, found.gamma)
    assert [c.value for c in coefficients] == pytest.approx(expected, rel=1e-5)
    half = stats.t.ppf(0.975, len(LEVELS) - 3) * np.sqrt(np.diag(covariance))
    for coefficient, value, distance in zip(coefficients, expected, half, strict=True):
        assert coefficient.interval.lower == pytest.approx(max(0.0, value - distance), rel=1e-3, abs=1e-9)
        assert coefficient.interval.upper == pytest.approx(value + distance, rel=1e-3)


@pytest.mark.parametrize(("seed", "at_bound"), [(0, (False, True)), (1, (False, False)), (2, (True, False))])
def test_a_fit_at_its_bounds_equals_scipys_bounded_fit(seed: int, at_bound: tuple[bool, bool]) -> None:
    measured = noisy(seed, 0.02, 0.0, 3.0, 0.08)
    bounded = optimize.least_squares(
        lambda p: [law(n, *p) - y for n, y in zip(LEVELS, measured, strict=True)],
        (0.05, 0.001, 3.0), bounds=([0, 0, 1e-9], np.inf), xtol=1e-14, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    found = fit(LEVELS, measured)
    assert found is not None
    assert found.rmse**2 * len(LEVELS) == pytest.approx(2 * bounded.cost, rel=1e-4)
    assert (found.alpha.at_bound, found.beta.at_bound) == at_bound
    assert (found.alpha.value == 0, found.beta.value == 0) == at_bound
    assert min(found.alpha.value, found.beta.value) >= 0
    assert found.freedom == len(LEVELS) - 3 + found.alpha.at_bound + found.beta.at_bound


def test_throughput_is_greatest_at_the_peak() -> None:
    found = fit(LEVELS, [law(n, 0.04, 0.0006, 3.0) for n in LEVELS])
    assert found is not None
    assert found.peak == pytest.approx(math.sqrt(0.96 / 0.0006), rel=1e-4)  # 40
    assert found.peak is not None
    around = [found.at(n) for n in (found.peak - 1, found.peak, found.peak + 1)]
    assert max(around) == around[1]
    assert found.ceiling is None


def test_without_coherency_the_limit_is_amdahls_law() -> None:
    saturated = fit([1, 5, 10, 20, 50], [2.9, 11.0, 16.0, 18.5, 24.0])
    assert saturated is not None
    assert saturated.beta.at_bound
    assert saturated.peak is None
    assert saturated.ceiling == pytest.approx(saturated.gamma.value / saturated.alpha.value)
    assert saturated.at(1e9) == pytest.approx(saturated.ceiling)


def test_goodness_of_fit_is_computed_from_the_residuals() -> None:
    measured = noisy(3, 0.06, 0.0008, 3.0, 0.05)
    found = fit(LEVELS, measured)
    assert found is not None
    fitted = [law(n, found.alpha.value, found.beta.value, found.gamma.value) for n in LEVELS]
    left = [y - x for x, y in zip(fitted, measured, strict=True)]
    assert found.residuals == pytest.approx(left)
    assert found.rmse == pytest.approx(math.sqrt(sum(r * r for r in left) / 7))
    assert found.r_squared == pytest.approx(1 - sum(r * r for r in left) / (7 * np.var(measured)))


@pytest.mark.parametrize(("levels", "limits"), [(5, False), (6, True)])
def test_five_levels_give_no_intervals(levels: int, limits: bool) -> None:  # noqa: FBT001 - a table of expectations
    found = fit(LEVELS[:levels], noisy(1, 0.06, 0.0008, 3.0, 0.01)[:levels])
    assert found is not None
    assert (found.gamma.interval != Interval(None, None)) is limits


def test_three_levels_cannot_be_fitted() -> None:
    assert fit([1, 5, 10], [1.0, 4.0, 6.0]) is None
    assert fit([1, 5, 10, 10], [1.0, 4.0, 6.0, 6.1]) is None
    assert fit([1, 5, 10, 20], [1.0, 4.0, 0.0, 6.1]) is None


def test_a_published_analysis_is_reproduced() -> None:
    """SPEC SDM91 on a SPARCcenter 2000, analysed in the documentation of the R package usl 3.0 (S. Moeding, CRAN)."""
    found = fit([1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2])
    assert found is not None
    coefficients = (found.alpha, found.beta, found.gamma)
    assert [f"{c.value:.7f}" for c in coefficients[:2]] == ["0.0277285", "0.0001044"]
    assert coefficients[2].value == pytest.approx(89.9952330, rel=1e-6)
    errors = (0.0091217, 0.0000199, 14.2134894)
    for coefficient, error in zip(coefficients, errors, strict=True):
        assert coefficient.interval.upper is not None
        assert (coefficient.interval.upper - coefficient.value) / stats.t.ppf(0.975, 4) == pytest.approx(
            error, rel=3e-3
        )
    assert found.peak == pytest.approx(96.5, abs=0.1)
