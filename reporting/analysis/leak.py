"""Permanent growth of the service's memory from job to job."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.process_usage import UNDER_TEST, memory_samples
from reelbench.reporting.evidence.evidence import Evidence, case_seconds
from reelbench.reporting.evidence.process_samples import Source
from reelbench.reporting.statistics.intervals import Interval
from reelbench.reporting.statistics.trend import Trend, trend

HORIZON = 1000
"""Jobs over which the slope is projected."""
MOST_VALUES = 400
"""Values in a trend, whose work grows with their square; more jobs are grouped."""
EDGE = 3
"""Values at either end whose median stands for the memory there."""


class Leak(msgspec.Struct, frozen=True):
    """Memory of service and media workers through sequential jobs, in bytes."""

    case: CaseRecord
    points: tuple[tuple[float, float], ...]
    """Time and memory of the values in the trend: by the reader one for each job or group of jobs, else all scrapes."""
    group: int
    """Jobs for each value; 0: the values are scrapes."""
    source: Source
    jobs: int
    """Measured jobs; the growth during warm-up is not a leak and is left out."""
    beginning: float
    """Median of the first three values of the case."""
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
    jobs = sorted(evidence.case_jobs(scenario, case.name), key=lambda job: job.due)
    gauge = memory_samples(evidence, scenario, case, *UNDER_TEST)
    if gauge is None or not jobs:
        return None
    if gauge.source is Source.READER:
        group = math.ceil(len(jobs) / MOST_VALUES)
        positions, points = _by_job(gauge.within, [job.due for job in jobs], group)
    else:
        group, points = 0, gauge.within
        each = seconds / len(jobs)
        positions = [(at - gauge.started) / each for at, _ in points]
    drift = trend(positions, [value for _, value in points], remembered=group > 0)
    if drift is None:
        return None
    return Leak(
        case=case,
        points=points,
        group=group,
        source=gauge.source,
        jobs=len(jobs),
        beginning=statistics.median(value for _, value in points[:EDGE]),
        end=statistics.median(value for _, value in points[-EDGE:]),
        trend=drift,
    )


def _by_job(
    points: Sequence[tuple[float, float]], dues: Sequence[float], group: int
) -> tuple[list[float], tuple[tuple[float, float], ...]]:
    """Return the median memory from each job to the next, with the number of jobs before it.

    Readings within one job depend on each other; the trend asks for one value of each.
    """
    firsts = dues[::group]
    times = [at for at, _ in points]
    borders = [*(bisect_left(times, due) for due in firsts), len(points)]
    found = [
        (float(number * group), (due, statistics.median(value for _, value in points[first:last])))
        for number, (due, first, last) in enumerate(zip(firsts, borders[:-1], borders[1:], strict=True))
        if last > first
    ]
    return [position for position, _ in found], tuple(point for _, point in found)
