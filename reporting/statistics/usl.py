"""The Universal Scalability Law: throughput as a function of the jobs in flight.

X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)): gamma is the throughput of one job in flight, alpha what is lost
by waiting for what is shared, beta what is lost by keeping it coherent (N. J. Gunther, "Guerrilla Capacity Planning",
Springer 2007; "A General Theory of Computational Scalability Based on Rational Functions", arXiv:0808.1431, 2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelbench.reporting.statistics.intervals import CONFIDENCE, Interval
from reelbench.reporting.statistics.special_functions import stdtrit

COEFFICIENTS = ("alpha", "beta", "gamma")
MIN_LEVELS = 4
"""Three coefficients fit three points exactly, so such a fit is no evidence."""
MIN_LEVELS_FOR_INTERVALS = 6
"""With fewer levels, the residual variance has at most two degrees of freedom, too few for an interval."""
STEPS = 200
"""Gauss-Newton converges within about ten; more means that the data do not follow the law."""

Array = NDArray[np.float64]


class Coefficient(msgspec.Struct, frozen=True):
    """One coefficient with its interval."""

    name: str
    value: float
    interval: Interval
    """By Student's t from the covariance of the fit; no limits for too few levels, or at the bound."""
    at_bound: bool
    """True when it is 0 because the best fit would be negative."""


class Fit(msgspec.Struct, frozen=True):
    """A least-squares fit to the throughput at levels of load."""

    alpha: Coefficient
    beta: Coefficient
    gamma: Coefficient
    """Jobs per second of one job in flight."""
    n: int
    """Levels."""
    rmse: float
    """Root of the mean squared residual, in jobs per second."""
    r_squared: float
    """1 - residual / total sum of squares about the mean."""
    residuals: tuple[float, ...]
    """Measured less fitted throughput of each level, in jobs per second."""

    @property
    def freedom(self) -> int:
        """Levels less coefficients that were free."""
        return self.n - sum(1 for found in (self.alpha, self.beta, self.gamma) if not found.at_bound)

    @property
    def peak(self) -> float | None:
        """Jobs in flight at which throughput is greatest, sqrt((1 - alpha) / beta); None when it never falls."""
        if not self.beta.value or self.alpha.value >= 1:
            return None
        return math.sqrt((1 - self.alpha.value) / self.beta.value)

    @property
    def ceiling(self) -> float | None:
        """Throughput that is approached without a peak, gamma / alpha (Amdahl's law); None without such a limit."""
        return self.gamma.value / self.alpha.value if not self.beta.value and self.alpha.value else None

    def at(self, level: float) -> float:
        """Throughput by the law in jobs per second."""
        values = np.array([self.alpha.value, self.beta.value, self.gamma.value])
        return float(throughput(np.array([level]), values)[0])


class PeakRange(msgspec.Struct, frozen=True):
    """Where the peak lies when each level in turn is left out of the fit."""

    least: float
    most: float | None
    """None where one of the fits has no peak."""


def peak_range(levels: Sequence[float], measured: Sequence[float]) -> PeakRange | None:
    """Return the range of the peak over the fits without one level; None with too few levels, or without any peak."""
    if len(set(levels)) < MIN_LEVELS_FOR_INTERVALS:
        return None
    peaks: list[float | None] = []
    for left_out in range(len(levels)):
        kept = [i for i in range(len(levels)) if i != left_out]
        found = fit([levels[i] for i in kept], [measured[i] for i in kept])
        peaks.append(found.peak if found else None)
    known = [peak for peak in peaks if peak is not None]
    return PeakRange(min(known), max(known) if len(known) == len(peaks) else None) if known else None


def throughput(levels: Array, values: Array) -> Array:
    """X(N) for an array of levels; `values` are alpha, beta and gamma."""
    alpha, beta, gamma = values
    fitted: Array = gamma * levels / (1 + alpha * (levels - 1) + beta * levels * (levels - 1))
    return fitted


def fit(levels: Sequence[float], measured: Sequence[float]) -> Fit | None:
    """Fit the law by least squares with alpha and beta not below 0; None for too few different levels.

    Args:
        levels: Jobs in flight.
        measured: Throughput at each, in jobs per second.
    """
    xs, ys = np.asarray(levels, dtype=float), np.asarray(measured, dtype=float)
    if len(set(levels)) < MIN_LEVELS or not np.all(ys > 0):
        return None
    # A coefficient is free or 0: the best of all choices that keep both at 0 or above is the bounded minimum.
    choices = [[*some, 2] for size in (2, 1, 0) for some in combinations((0, 1), size)]
    fits = [(free, values) for free in choices if (values := _minimum(xs, ys, free)) is not None]
    free, values = min(fits, key=lambda found: _squares(xs, ys, found[1]))
    residuals = ys - throughput(xs, values)
    squares, total = float(residuals @ residuals), float(np.sum((ys - ys.mean()) ** 2))
    limits = _limits(xs, values, free, squares) if len(set(levels)) >= MIN_LEVELS_FOR_INTERVALS else {}
    alpha, beta, gamma = (
        Coefficient(name, float(values[i]), limits.get(i, Interval(None, None)), at_bound=i not in free)
        for i, name in enumerate(COEFFICIENTS)
    )
    return Fit(
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        n=len(xs),
        rmse=math.sqrt(squares / len(xs)),
        r_squared=1 - squares / total if total else 0.0,
        residuals=tuple(float(residual) for residual in residuals),
    )


def _minimum(xs: Array, ys: Array, free: list[int]) -> Array | None:
    """Gauss-Newton with halved steps in numpy: scipy.optimize takes half a second to import. None when below 0."""
    values = _start(xs, ys, free)
    best = _squares(xs, ys, values)
    for _ in range(STEPS):
        step = np.linalg.lstsq(_jacobian(xs, values)[:, free], ys - throughput(xs, values), rcond=None)[0]
        scale = 1.0
        while scale > 1e-12:  # noqa: PLR2004 - where a step no longer changes a coefficient
            tried = values.copy()
            tried[free] += scale * step
            if (squares := _squares(xs, ys, tried)) < best:
                break
            scale /= 2
        else:
            break
        values, best = tried, squares
    return values if values[0] >= 0 and values[1] >= 0 and values[2] > 0 else None


def _start(xs: Array, ys: Array, free: list[int]) -> Array:
    """The law is linear in 1/gamma, alpha/gamma and beta/gamma for N / X, weighted so that errors are those of X."""
    columns = np.stack([xs - 1, xs * (xs - 1), np.ones_like(xs)], axis=1)[:, free]
    weights = ys**2 / xs
    found = np.linalg.lstsq(columns * weights[:, None], xs / ys * weights, rcond=None)[0]
    values = np.zeros(3)
    if found[-1] <= 0:  # no throughput of one job: start from the highest that was measured
        values[2] = float(np.max(ys / xs))
        return values
    values[free] = found / found[-1]
    values[2] = 1 / found[-1]
    return values


def _jacobian(xs: Array, values: Array) -> Array:
    alpha, beta, gamma = values
    below = 1 + alpha * (xs - 1) + beta * xs * (xs - 1)
    return np.stack(
        [-gamma * xs * (xs - 1) / below**2, -gamma * xs**2 * (xs - 1) / below**2, xs / below],
        axis=1,
    )


def _squares(xs: Array, ys: Array, values: Array) -> float:
    if np.any(1 + values[0] * (xs - 1) + values[1] * xs * (xs - 1) <= 0):
        return math.inf  # throughput would jump to infinity between two levels
    residuals = ys - throughput(xs, values)
    return float(residuals @ residuals)


def _limits(xs: Array, values: Array, free: list[int], squares: float) -> dict[int, Interval]:
    """Student's t with the covariance s^2 (J'J)^-1, as scipy.optimize.curve_fit gives it; cut off at 0."""
    freedom = len(xs) - len(free)
    jacobian = _jacobian(xs, values)[:, free]
    covariance = np.linalg.inv(jacobian.T @ jacobian) * squares / freedom
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * np.sqrt(np.diag(covariance))
    return {i: Interval(max(0.0, float(values[i] - h)), float(values[i] + h)) for i, h in zip(free, half, strict=True)}
