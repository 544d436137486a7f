"""The knee of a ramp: the highest arrival rate that the service sustains, and which limit fails at the next one."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.reporting.analysis.open_cases import OpenCase, open_cases
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence

MIN_SUCCESS = 0.95
MAX_P95 = 2.0
"""Seconds of response time. Both are the objectives of the catalogue for success rate and P95."""
MIN_DELIVERED = 0.99
"""Share of the offered jobs that must end before the cut-off."""
MAX_GROWTH = 0.02
"""Share of the offered jobs by which a backlog may grow in a case without showing a lack of capacity."""
FLUCTUATION = 3.0
"""Jobs by which any backlog may grow: random variation in a short case."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of a ramp."""

    case: OpenCase
    broken: tuple[str, ...]
    """Limits that fail at this rate, as sentences without a full stop; empty when all hold."""


@dataclass(frozen=True, slots=True)
class Knee:
    """All rates of a ramp, ascending."""

    steps: tuple[Step, ...]

    @property
    def held(self) -> Step | None:
        """Highest rate at which it and all lower rates hold; None when the lowest fails."""
        last = None
        for step in self.steps:
            if step.broken:
                break
            last = step
        return last

    @property
    def broke(self) -> Step | None:
        """Lowest rate that fails; None when all hold."""
        return next((step for step in self.steps if step.broken), None)


def knee(evidence: Evidence, scenario: str) -> Knee | None:
    """Evaluate each rate of a scenario; None when none of its open cases began."""
    cases = sorted(open_cases(evidence, scenario), key=lambda case: case.load.rate)
    return Knee(tuple(Step(case, broken(case)) for case in cases)) if cases else None


def broken(case: OpenCase) -> tuple[str, ...]:
    """Return the limits that an open case fails, with the numbers."""
    found = []
    if case.success is None or case.success.value < MIN_SUCCESS:
        value = text.percent(case.success.value if case.success else None)
        found.append(f"success rate {value} %, below {MIN_SUCCESS * 100:g} %")
    p95 = case.response(0.95)
    if p95 is None or not p95.within(MAX_P95):
        found.append(f"P95 of the response time {text.censored(p95)} s, objective {MAX_P95:g} s")
    if case.delivered < MIN_DELIVERED:
        found.append(f"{text.percent(case.delivered)} % of the offered jobs ended, below {MIN_DELIVERED * 100:g} %")
    growth = growing(case)
    if growth is not None:
        found.append(f"a backlog that grew by {growth:.3g} jobs per second")
    return tuple(found)


def growing(case: OpenCase) -> float | None:
    """Return the growth of a backlog in jobs per second; None when it is not significant or negligible."""
    trend = case.growth
    if trend is None or not trend.significant or trend.slope <= 0:
        return None
    added = trend.slope * case.load.seconds
    return trend.slope if added > max(FLUCTUATION, MAX_GROWTH * case.offered) else None
