"""Tests of two samples: whether they differ, and by how much in a size without a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reporting.statistics import CONFIDENCE, Interval, mean_difference

ALPHA = 1 - CONFIDENCE
RESAMPLES = 9999
SEED = 20_080_101
"""Of the permutations: the same samples give the same p."""
_CHUNK = 4_000_000
"""Numbers that are permuted at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Rank:
    """The test of Mann and Whitney with its effect size."""

    p: float
    a12: float
    """Probability that a value of the first sample is larger than one of the second, ties half: U / (n m). A. Vargha
    and H. D. Delaney, Journal of Educational and Behavioral Statistics 25 (2000) 101."""


def reachable(n: int, m: int) -> float:
    """Least two-sided p that a rank or permutation test of `n` against `m` values can give: 2 of all (n + m over n)."""
    return min(1.0, 2 / math.comb(n + m, n))


def rank_test(run: Sequence[float], baseline: Sequence[float]) -> Rank:
    """Two-sided test of Mann and Whitney: exact up to 8 values without ties, else the normal approximation."""
    found = stats.mannwhitneyu(run, baseline, alternative="two-sided", method="auto")
    p = float(found.pvalue)
    return Rank(1.0 if math.isnan(p) else p, float(found.statistic) / (len(run) * len(baseline)))


def permutation_p(run: Sequence[float], baseline: Sequence[float], q: float) -> float:
    """Two-sided p of the difference of the q-quantiles, by seeded permutations; the observed one counts as one more.

    B. Phipson and G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010) 39: so p is never 0.
    """
    pool = np.sort(np.asarray([*run, *baseline], dtype=float))  # the order of the jobs must not decide
    n = len(run)
    observed = abs(_quantile(np.asarray(run, dtype=float), q) - _quantile(np.asarray(baseline, dtype=float), q))
    rng = np.random.default_rng(SEED)
    at_least = done = 0
    while done < RESAMPLES:
        rows = min(RESAMPLES - done, max(1, _CHUNK // len(pool)))
        mixed = rng.permuted(np.tile(pool, (rows, 1)), axis=1)
        found = np.abs(_quantile(mixed[:, :n], q) - _quantile(mixed[:, n:], q))
        at_least += int(np.count_nonzero(found >= observed * (1 - 1e-12)))
        done += rows
    return (at_least + 1) / (RESAMPLES + 1)


def fisher_p(run: tuple[int, int], baseline: tuple[int, int]) -> float:
    """Two-sided p of Fisher's exact test of two proportions, each k of n."""
    return float(stats.fisher_exact([[k, n - k] for k, n in (run, baseline)]).pvalue)


def cohens_h(run: float, baseline: float) -> float:
    """Difference of two proportions on the arcsine scale. J. Cohen, Statistical Power Analysis (1988), chapter 6."""
    return 2 * math.asin(math.sqrt(run)) - 2 * math.asin(math.sqrt(baseline))


def welch(run: Sequence[float], baseline: Sequence[float]) -> tuple[float, Interval]:
    """Two-sided p of Welch's t-test, and the interval of the difference of means; at least two values a side.

    Where neither side spreads, t does not exist, and the p of the permutations of constant values stands in.
    """
    interval = mean_difference(run, baseline)
    if len(set(run)) == 1 and len(set(baseline)) == 1:
        return (1.0 if run[0] == baseline[0] else reachable(len(run), len(baseline))), interval
    # from the moments: of nearly equal values, as counts of repeated runs are, the other form warns the user
    moments = [part for s in (run, baseline) for part in (float(np.mean(s)), float(np.std(s, ddof=1)), len(s))]
    return float(stats.ttest_ind_from_stats(*moments, equal_var=False).pvalue), interval


def one_against(value: float, many: Sequence[float]) -> tuple[float, Interval]:
    """Two-sided p that one value belongs to a population of which `many` are known, and the interval of the difference.

    Student's t with the spread of the many: J. R. Crawford and D. C. Howell, The Clinical Neuropsychologist 12 (1998)
    482. At least two of the many.
    """
    n = len(many)
    away = value - math.fsum(many) / n
    spread = float(np.std(np.asarray(many, dtype=float), ddof=1)) * math.sqrt(1 + 1 / n)
    if not spread:
        return (1.0 if not away else 2 / (n + 1)), Interval(away, away)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * spread
    return float(2 * stats.t.sf(abs(away) / spread, n - 1)), Interval(away - half, away + half)


def corrected(ps: Sequence[float]) -> list[float]:
    """The p values of a family after Benjamini and Hochberg: the false discovery rate at which each would count."""
    return [float(p) for p in stats.false_discovery_control(ps, method="bh")] if ps else []


def _quantile(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], q: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The q-quantiles along the last axis, as of the inverse of the distribution function: observed values."""
    at = max(math.ceil(q * values.shape[-1] - 1e-9) - 1, 0)
    return np.partition(values, at, axis=-1)[..., at]
