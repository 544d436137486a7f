"""What an interval says of an objective: holds or violated, proven or not."""

from __future__ import annotations

from enum import StrEnum

from reelbench.reporting.analysis.estimates import Estimate
from reelbench.reporting.catalogue.sli import Kind, Objective, Sli


class Certainty(StrEnum):
    """Whether a value meets its objective, and whether its 95 % interval proves it."""

    HOLDS_PROVEN = "holds, proven"
    """The interval lies within the objective."""
    HOLDS = "holds, not proven"
    VIOLATED = "violated, not proven"
    VIOLATED_PROVEN = "violated, proven"
    """The interval lies beyond the objective."""

    @property
    def holds(self) -> bool:
        """True when the value meets the objective."""
        return self in {Certainty.HOLDS_PROVEN, Certainty.HOLDS}

    @property
    def proven(self) -> bool:
        """True when the interval lies on one side of the objective."""
        return self in {Certainty.HOLDS_PROVEN, Certainty.VIOLATED_PROVEN}


def certainty(found: Estimate, objective: Objective, min_n: int) -> Certainty | None:
    """Return what is known; None without a value, or where the value is only a limit on the good side.

    A sample below its minimum proves a violation, but not that an objective holds.
    """
    if found.value is None:
        return None
    at_most = objective.direction == "at_most"
    limit, lower, upper = objective.value, found.interval.lower, found.interval.upper
    if found.exact:
        lower = upper = found.value
    held = found.value <= limit if at_most else found.value >= limit
    if found.at_least and held == at_most:
        return None
    inside, beyond = (upper, lower) if at_most else (lower, upper)
    if not held:
        proven = beyond is not None and (beyond > limit if at_most else beyond < limit)
        return Certainty.VIOLATED_PROVEN if proven else Certainty.VIOLATED
    enough = not min_n or (found.n is not None and found.n >= min_n)
    proven = enough and inside is not None and (inside <= limit if at_most else inside >= limit)
    return Certainty.HOLDS_PROVEN if proven else Certainty.HOLDS


def unprovable(sli: Sli, found: Estimate, objective: Objective) -> str:
    """Return why no sample, however large, proves that an objective holds; empty where a larger one could."""
    if sli.kind in {Kind.SHARE, Kind.COUNT} and found.n:
        if (objective.direction, objective.value) == ("at_most", 0):
            return "no sample proves zero"
        if (objective.direction, objective.value, sli.kind) == ("at_least", 1, Kind.SHARE):
            return "no sample proves 100 %"
    return found.open_end or ("" if found.method else "no interval")
