"""Comparison of cases with their baseline: the difference of two samples of response times."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reelbench.reporting.analysis.disturbance import reason_in
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.statistics.intervals import (
    ALPHA,
    Interval,
    Summary,
    mean_difference,
    mean_difference_p,
    probability_of_larger,
    summarize,
)

NEGLIGIBLE_A12 = 0.06
"""Limit of |A12 - 0.5| below which a difference is negligible: Vargha and Delaney (2000) call 0.56 small."""


class Comparison(msgspec.Struct, frozen=True):
    """Response times of some cases and of their baselines, in seconds."""

    case: Summary
    baseline: Summary
    difference: Interval
    """Interval of the difference of the means (case - baseline), by Welch's t."""
    p: float | None
    """Two-sided, by Welch's t; None for a side of one value. Corrected where several comparisons are a family."""
    a12: float
    """Probability that a response time of the case is the larger one."""
    pairs: int
    """Cases of each side; with one, a drift of the machine may look like an effect."""
    disturbed: str | None = None
    """Why a case is INCONCLUSIVE, and the difference shows nothing; None: no case was disturbed."""

    @property
    def change(self) -> float:
        """Difference of the means; negative when the case is faster."""
        return self.case.average - self.baseline.average

    @property
    def shown(self) -> bool:
        """True when no case was disturbed, the corrected p is at most 0.05 and the difference is not negligible."""
        significant = self.p is not None and self.p <= ALPHA and abs(self.a12 - 0.5) >= NEGLIGIBLE_A12
        return significant and self.disturbed is None


def compare(evidence: Evidence, scenario: str, cases: Sequence[str], baselines: Sequence[str]) -> Comparison | None:
    """Compare the jobs of some cases of a scenario with those of others; None when a side completed nothing."""
    times = [
        [time for name in names for time in evidence.response_times(scenario, name)] for names in (cases, baselines)
    ]
    found = evidence.scenario(scenario)
    first, second = (summarize(values) for values in times)
    if first is None or second is None:
        return None
    return Comparison(
        first,
        second,
        mean_difference(*times),
        mean_difference_p(*times),
        probability_of_larger(*times),
        min(len(cases), len(baselines)),
        reason_in(evidence, found.dimension, {(scenario, name) for name in (*cases, *baselines)}) if found else None,
    )


def corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons of one family with p after Benjamini and Hochberg."""
    known = sorted((i for i, one in enumerate(found) if one.p is not None), key=lambda i: found[i].p or 0.0)
    changed, least = list(found), 1.0
    for rank in range(len(known), 0, -1):
        one = found[known[rank - 1]]
        least = min(least, (one.p or 0.0) * len(known) / rank)
        changed[known[rank - 1]] = msgspec.structs.replace(one, p=least)
    return changed
