"""Tests of two samples: significance and standardised effect size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import special, stats

from reelbench.reporting.statistics.intervals import CONFIDENCE, Interval, mean_difference

ALPHA = 1 - CONFIDENCE
_IMPOSSIBLE = 1e-18
"""Ranks of a quantile less probable than this are skipped, and counted as at least as extreme."""

_Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
_Ranks = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


class Rank(msgspec.Struct, frozen=True):
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
    """Two-sided p of the difference of the q-quantiles over all divisions of the pooled values: to 1e-12, never 0.

    A quantile is an observed value, so the ranks of the two quantiles in the pool determine the difference. The number
    of divisions for each pair of ranks is exact (negative hypergeometric: N. L. Johnson, A. W. Kemp and S. Kotz,
    Univariate Discrete Distributions (2005), section 6.2.2), instead of a sample of divisions.
    """
    pool = np.sort(np.asarray([*run, *baseline], dtype=float))
    sides = (len(run), _order(len(run), q)), (len(baseline), _order(len(baseline), q))
    values = [
        np.sort(np.asarray(side, dtype=float))[k - 1] for side, (_, k) in zip((run, baseline), sides, strict=True)
    ]
    least = abs(values[0] - values[1]) * (1 - 1e-12)
    at_least, counted = 0.0, 0.0
    for lower, upper in (sides, sides[::-1]):
        i, j, share = _lower_first(lower, upper)
        at_least += float(share[np.abs(pool[j - 1] - pool[i - 1]) >= least].sum())
        counted += float(share.sum())
    return min(1.0, at_least + max(2 * len(pool) * _IMPOSSIBLE, 1 - counted))


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


def _order(n: int, q: float) -> int:
    """Which of `n` sorted values, counted from 1, is their q-quantile: the inverse of the distribution function."""
    return max(math.ceil(q * n - 1e-9), 1)


def _lower_first(lower: tuple[int, int], upper: tuple[int, int]) -> tuple[_Ranks, _Ranks, _Numbers]:
    """Ranks i < j of the k-th of `lower`'s n values and the l-th of `upper`'s m in the pool, with their probability.

    Below i are k - 1 of the lower side and i - k of the upper one, between i and j l - 1 - (i - k) of the upper one,
    and above j what is left.
    """
    (n, k), (m, l) = lower, upper  # noqa: E741 - the letters of the count
    i = _likely(np.arange(k, min(k + l - 1, n + m) + 1), lower, upper)[:, None]
    j = _likely(np.arange(k + l, min(n + l, n + m) + 1), upper, lower)[None, :]
    log = _log_choose(i - 1, k - 1) + _log_choose(j - 1 - i, l - 1 - (i - k)) + _log_choose(n + m - j, m - l)
    return i, j, np.exp(log - _log_choose(n + m, n))


def _likely(ranks: _Ranks, side: tuple[int, int], other: tuple[int, int]) -> _Ranks:
    """Return the possible ranks of the k-th value of a side in the pool."""
    (n, k), (m, _) = side, other
    log = _log_choose(ranks - 1, k - 1) + _log_choose(n + m - ranks, n - k) - _log_choose(n + m, n)
    found: _Ranks = ranks[log > math.log(_IMPOSSIBLE)]
    return found


def _log_choose(n: _Ranks | int, k: _Ranks | int) -> _Numbers:
    found: _Numbers = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return found
