"""Exact statistics of the client's records, with intervals that hold for small samples."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np

from reelbench.reporting.statistics.special_functions import bdtr, bdtrc, betaincinv, ndtri, stdtr, stdtrit

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
WILSON, EXACT, ORDER, STUDENT = "Wilson", "Clopper and Pearson", "order statistics", "Student's t"
"""Names of the methods."""


class Interval(msgspec.Struct, frozen=True):
    """A 95 % confidence interval; None where the sample is too small for a limit."""

    lower: float | None
    upper: float | None


class Percentile(msgspec.Struct, frozen=True):
    """A sample quantile with its interval by order statistics."""

    value: float
    interval: Interval


class Summary(msgspec.Struct, frozen=True):
    """Summary figures of a sample, in its unit."""

    n: int
    minimum: float
    average: float
    average_interval: Interval
    """By Student's t."""
    maximum: float
    stddev: float | None
    """Of the sample (n - 1); None for a single value."""
    p50: Percentile
    p95: Percentile
    p99: Percentile


class Proportion(msgspec.Struct, frozen=True):
    """`k` of `n` with a 95 % confidence interval."""

    k: int
    n: int
    value: float
    lower: float
    upper: float


def summarize(values: Sequence[float]) -> Summary | None:
    """Summary of a sample; None when it is empty."""
    if not values:
        return None
    sample = np.sort(np.asarray(values, dtype=float))
    return Summary(
        n=len(sample),
        minimum=float(sample[0]),
        average=math.fsum(values) / len(values),
        average_interval=mean_interval(values),
        maximum=float(sample[-1]),
        stddev=deviation(sample),
        p50=percentile(sample, 0.50),
        p95=percentile(sample, 0.95),
        p99=percentile(sample, 0.99),
    )


def deviation(values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    """Return the sample standard deviation (n - 1); None for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def percentile(ordered: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]], q: float) -> Percentile:
    """The q-quantile of a sorted sample by the inverse of its distribution function: always an observed value.

    The interval is the two-sided one by order statistics, which asks nothing of the distribution. An upper limit
    exists from n = 72 for P95 and n = 368 for P99; below, no sample can give one.
    """
    value, lower, upper = _ranks(len(ordered), q)
    return Percentile(
        value=float(ordered[value]),
        interval=Interval(
            lower=None if lower is None else float(ordered[lower]),
            upper=None if upper is None else float(ordered[upper]),
        ),
    )


def quantile_ranks(n: int, q: float) -> tuple[int | None, int | None]:
    """Return the ranks, from 0, of both limits of the q-quantile in a sorted sample of `n`; None without one."""
    _, lower, upper = _ranks(n, q)
    return lower, upper


@lru_cache(maxsize=1024)  # a report needs a few quantiles of samples of a few sizes, each many times
def _ranks(n: int, q: float) -> tuple[int, int | None, int | None]:
    """Return the ranks of the q-quantile and its interval in a sorted sample of `n`; None without one."""
    tail = (1 - CONFIDENCE) / 2
    counts = range(n + 1)  # searched by halves: all terms of a large sample take longer than its quantiles
    lower = bisect_left(counts, tail, key=lambda count: float(bdtr(count, n, q))) - 1
    upper = bisect_left(counts, -tail, key=lambda count: -float(bdtrc(count, n, q)))
    value = int(np.quantile(np.arange(n), q, method="inverted_cdf"))
    return value, lower if lower >= 0 else None, upper if upper < n else None


def proportion(k: int, n: int) -> Proportion | None:
    """`k` of `n` with the Wilson score interval; None when n is 0."""
    if n == 0:
        return None
    z = float(ndtri((1 + CONFIDENCE) / 2))
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Proportion(k, n, p, 0.0 if k == 0 else centre - half, 1.0 if k == n else centre + half)


def exact_proportion(k: int, n: int) -> Proportion | None:
    """`k` of `n` with the exact interval of Clopper and Pearson; None when n is 0.

    It never covers less than 95 %, so it is the one for rare events: 0 lost of 50 still allows 7.1 %.
    """
    if n == 0:
        return None
    tail = (1 - CONFIDENCE) / 2
    lower = float(betaincinv(k, n - k + 1, tail)) if k else 0.0
    upper = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Proportion(k, n, k / n, lower, upper)


def mean_interval(values: Sequence[float]) -> Interval:
    """Interval of the mean by Student's t; no limits for fewer than two values.

    Student's t and not the BCa bootstrap, as it covers more in small samples: of 1,500 lognormal samples (sigma 0.5) of
    5, 10, 20, 50 and 100 values it covered the mean in 92, 91, 93, 93 and 95 %, the bootstrap of 999 resamples in 82,
    86, 92, 92 and 93 %, where 95 % are nominal.
    """
    n = len(values)
    if n < 2:  # noqa: PLR2004 - one value has no spread
        return Interval(None, None)
    mean = math.fsum(values) / n
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(_variance(values) / n)
    return Interval(mean - half, mean + half)


def non_negative(interval: Interval) -> Interval:
    """Return the interval of a time or a rate, which is never negative."""
    return Interval(None if interval.lower is None else max(interval.lower, 0.0), interval.upper)


def mean_difference(values: Sequence[float], reference: Sequence[float]) -> Interval:
    """Interval of the difference of two means by Welch's t; no limits when a sample has fewer than two values."""
    if min(len(values), len(reference)) < 2:  # noqa: PLR2004 - one value has no spread
        return Interval(None, None)
    difference, error, freedom = _welch(values, reference)
    if not error:
        return Interval(difference, difference)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    return Interval(difference - half, difference + half)


def mean_difference_p(values: Sequence[float], reference: Sequence[float]) -> float | None:
    """Two-sided p of the difference of two means by Welch's t; None when a sample has fewer than two values."""
    if min(len(values), len(reference)) < 2:  # noqa: PLR2004 - one value has no spread
        return None
    difference, error, freedom = _welch(values, reference)
    if not error:
        return 0.0 if difference else 1.0
    return float(2 * stdtr(freedom, -abs(difference) / error))


def probability_of_larger(values: Sequence[float], reference: Sequence[float]) -> float:
    """Return the probability that a value is larger than one of the reference, ties half: Vargha and Delaney's A12."""
    ordered = np.sort(np.asarray(reference, dtype=float))
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return float(np.sum(below)) / (2 * len(values) * len(reference))


def _welch(values: Sequence[float], reference: Sequence[float]) -> tuple[float, float, float]:
    """Return the difference of two means, its standard error and its degrees of freedom."""
    parts = [_variance(sample) / len(sample) for sample in (values, reference)]
    difference = math.fsum(values) / len(values) - math.fsum(reference) / len(reference)
    total = math.fsum(parts)
    squares = sum(part**2 / (len(sample) - 1) for part, sample in zip(parts, (values, reference), strict=True))
    return difference, math.sqrt(total), total**2 / squares if squares else math.inf


def _variance(values: Sequence[float]) -> float:
    return float(np.var(np.asarray(values, dtype=float), ddof=1))
