"""Closed cases whose jobs were held up outside the steady part, one sentence each."""

from __future__ import annotations

from reelbench.reporting.document import text
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.stretch import Stretch
from reelbench.reporting.statistics.steady_part import FAR_LONGER


def standstills(evidence: Evidence) -> tuple[str, ...]:
    """Return the cases without a steady part for that reason; all of their jobs give the numbers."""
    return tuple(
        f"{place_name(scenario.name, case.name)}: {words}; all its jobs count"
        for scenario, case in evidence.cases(Dimension.PERFORMANCE)
        if (words := standstill(evidence.stretch(scenario.name, case.name)))
    )


def standstill(part: Stretch) -> str:
    """Return in words what was held up; empty where nothing was. What held the jobs up is not known from them."""
    found = part.missing
    if not found.held_up:
        return ""
    return (
        f"jobs at the start or at the end were held up ({found.held_up} of them took more than {FAR_LONGER:g} x the "
        f"longest between them, {text.length(found.longest)})"
    )
