"""The early-stopping estimate of a percentile, as MLPerf Inference defines it.

Source: MLCommons, Inference rules, "Early stopping criterion": with t latencies above and h = n - t at or below the
estimate, the percentile is at most the estimate with the asked confidence when P(Binomial(n, 1 - p) <= t) is at most
1 - confidence. The estimate is the t-th highest latency for the largest such t of at least 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.reporting.statistics.special_functions import bdtr

CONFIDENCE = 0.99


def needed(quantile: float, confidence: float = CONFIDENCE) -> int:
    """Return the smallest sample that gives an estimate: 64 for P90, 130 for P95, 662 for P99."""
    n = 1
    while bdtr(1, n, 1 - quantile) > 1 - confidence:
        n += 1
    return n


def estimate(latencies: Sequence[float], quantile: float, confidence: float = CONFIDENCE) -> float | None:
    """Return the early-stopping estimate in the unit of the latencies; None when the sample is too small."""
    n = len(latencies)
    if n < needed(quantile, confidence):
        return None
    above = 1
    while bdtr(above + 1, n, 1 - quantile) <= 1 - confidence:
        above += 1
    return sorted(latencies)[n - above]
