"""Comparison of a case with its baseline: the difference of two samples of response times."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.statistics.intervals import Interval, Summary, mean_difference, summarize


@dataclass(frozen=True, slots=True)
class Comparison:
    """Response times of a case and of its baseline, in seconds."""

    case: Summary
    baseline: Summary
    difference: Interval
    """Interval of the difference of the means (case - baseline), by Welch's t."""

    @property
    def change(self) -> float:
        """Difference of the means; negative when the case is faster."""
        return self.case.average - self.baseline.average

    @property
    def clear(self) -> bool:
        """True when the interval excludes zero."""
        lower, upper = self.difference.lower, self.difference.upper
        return lower is not None and upper is not None and (lower > 0 or upper < 0)


def compare(evidence: Evidence, scenario: str, case: str, baseline: str) -> Comparison | None:
    """Compare two cases of a scenario; None when one of them completed nothing."""
    times = [evidence.response_times(scenario, name) for name in (case, baseline)]
    first, second = (summarize(values) for values in times)
    if first is None or second is None:
        return None
    return Comparison(first, second, mean_difference(*times))
