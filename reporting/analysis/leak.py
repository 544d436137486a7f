"""Permanent growth of the service's memory from job to job."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.process_usage import UNDER_TEST, memory_samples
from reelbench.reporting.evidence.evidence import Evidence, case_seconds
from reelbench.reporting.evidence.process_samples import ProcessSamples
from reelbench.reporting.statistics.intervals import Interval
from reelbench.reporting.statistics.trend import Trend, trend

HORIZON = 1000
"""Jobs over which the slope is projected."""
EDGE = 3
"""Samples at either end whose median stands for the memory there."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Memory of service and media workers through sequential jobs, in bytes."""

    case: CaseRecord
    samples: ProcessSamples
    jobs: int
    """Measured jobs; the growth during warm-up is not a leak and is left out."""
    beginning: float
    """Median of the first three samples of the case."""
    end: float
    """Median of the last three."""
    trend: Trend
    """By job."""

    @property
    def growth(self) -> float:
        """Growth as a share of the memory at the start."""
        return self.end / self.beginning - 1

    @property
    def projected(self) -> float:
        """Lower 95 % limit of the growth over the horizon; 0 without a significant trend."""
        lower = self.trend.interval.lower or 0.0
        return max(lower, 0.0) * HORIZON if self.trend.significant else 0.0

    @property
    def projected_interval(self) -> Interval:
        """Limits of the growth over the horizon; the lower one is the projected leak."""
        upper = self.trend.interval.upper
        return Interval(self.projected, None if upper is None else max(upper * HORIZON, self.projected))

    @property
    def growth_interval(self) -> Interval:
        """Limits of the growth: those of the slope over the measured jobs, widened to hold the growth itself."""
        lower, upper = self.trend.interval.lower, self.trend.interval.upper
        if lower is None or upper is None:
            return Interval(None, None)
        shares = [limit * self.jobs / self.beginning for limit in (lower, upper)]
        return Interval(min(*shares, self.growth), max(*shares, self.growth))


def leak(evidence: Evidence, scenario: str, case: CaseRecord | None = None) -> Leak | None:
    """Return the growth of memory in a case, by default the first; None with too few samples for a trend."""
    found = evidence.scenario(scenario)
    case = case or (next((c for c in found.cases if c.started is not None), None) if found else None)
    seconds = case_seconds(case) if case else None
    if case is None or not seconds:
        return None
    jobs = len(evidence.case_jobs(scenario, case.name))
    gauge = memory_samples(evidence, scenario, case, *UNDER_TEST)
    if gauge is None or not jobs:
        return None
    points = gauge.within
    each = seconds / jobs
    drift = trend([(at - gauge.started) / each for at, _ in points], [value for _, value in points])
    if drift is None:
        return None
    return Leak(
        case=case,
        samples=gauge,
        jobs=jobs,
        beginning=statistics.median(value for _, value in points[:EDGE]),
        end=statistics.median(value for _, value in points[-EDGE:]),
        trend=drift,
    )
