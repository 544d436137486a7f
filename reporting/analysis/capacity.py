"""The knee of a ramp: the highest arrival rate that the service holds, and what gives way at the next one."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.reporting.analysis.open_cases import OpenCase, open_cases
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence

MIN_SUCCESS = 0.95
MAX_P95 = 2.0
"""Seconds of response time. Both are the objectives of the catalogue for success rate and P95."""
MIN_DELIVERED = 0.99
"""Share of the offered jobs that must come to an end before the cut-off."""
MAX_GROWTH = 0.02
"""Share of the offered jobs by which a backlog may have grown at the end of a case; less is no lack of capacity."""
FLUCTUATION = 3.0
"""Jobs by which any backlog may have grown: in a short case so many more or fewer say nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of a ramp."""

    case: OpenCase
    broken: tuple[str, ...]
    """What does not hold at this rate, as sentences without a full stop; empty when all holds."""


@dataclass(frozen=True, slots=True)
class Knee:
    """All rates of a ramp, ascending."""

    steps: tuple[Step, ...]

    @property
    def held(self) -> Step | None:
        """The highest rate that holds, with all below it; None when not even the lowest does."""
        last = None
        for step in self.steps:
            if step.broken:
                break
            last = step
        return last

    @property
    def broke(self) -> Step | None:
        """The lowest rate that does not hold; None when all do."""
        return next((step for step in self.steps if step.broken), None)


def knee(evidence: Evidence, scenario: str) -> Knee | None:
    """Judge each rate of a scenario; None when no open case of it began."""
    cases = sorted(open_cases(evidence, scenario), key=lambda case: case.load.rate)
    return Knee(tuple(Step(case, broken(case)) for case in cases)) if cases else None


def broken(case: OpenCase) -> tuple[str, ...]:
    """What of an open case does not hold, with its numbers."""
    found = []
    if case.success is None or case.success.value < MIN_SUCCESS:
        value = text.percent(case.success.value if case.success else None)
        found.append(f"success rate {value} %, below {MIN_SUCCESS * 100:g} %")
    p95 = case.response(0.95)
    if p95 is None or not p95.within(MAX_P95):
        found.append(f"P95 of the response time {text.censored(p95)} s, objective {MAX_P95:g} s")
    if case.delivered < MIN_DELIVERED:
        found.append(
            f"{text.percent(case.delivered)} % of the offered jobs came to an end, below {MIN_DELIVERED * 100:g} %"
        )
    growth = growing(case)
    if growth is not None:
        found.append(f"a backlog that grew by {growth:.3g} jobs per second")
    return tuple(found)


def growing(case: OpenCase) -> float | None:
    """Jobs per second by which a backlog grew; None when it did not grow significantly, or by next to nothing."""
    trend = case.growth
    if trend is None or not trend.significant or trend.slope <= 0:
        return None
    added = trend.slope * case.load.seconds
    return trend.slope if added > max(FLUCTUATION, MAX_GROWTH * case.offered) else None
