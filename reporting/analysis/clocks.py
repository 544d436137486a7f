"""Clocks of a run: how far each is ahead, whether it moved, and what the times of spans say."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import msgspec

from reelbench.loadgen.record.conditions import DATE_CLOCK, ClockRecord, ConditionsRecord
from reelbench.reporting.evidence.evidence import Evidence, once

MOST_MOVED = 0.5
"""Seconds, half of the shortest scrape interval. A clock that moved more within a scenario cannot be corrected."""
_OF_THE_MACHINE = "this machine"


class Movement(msgspec.Struct, frozen=True):
    """A clock that moved in a scenario, or was not where it is in the rest of the run."""

    scenario: str
    source: str
    seconds: float

    @property
    def reason(self) -> str:
        """Why the objectives of the scenario are not judged."""
        return (
            f"the clock of {self.source} moved by {self.seconds:+.1f} s against the clock of the load generator, more "
            f"than {MOST_MOVED:g} s"
        )


class SpanOffset(msgspec.Struct, frozen=True):
    """How far the spans of a process are ahead of those of its caller."""

    caller: str
    process: str
    offset: float
    error: float
    pairs: int
    """Requests whose two spans were compared."""


@once
def movements(evidence: Evidence, dimension: str) -> tuple[Movement, ...]:
    """Return the clocks that moved in the scenarios of a dimension, the largest movement of each.

    The header Date is left out: its resolution of seconds is too coarse, and no indicator rests on it.
    """
    conditions = evidence.conditions
    if conditions is None:
        return ()
    return tuple(
        movement
        for scenario in evidence.scenarios(dimension)
        for source in sources(conditions)
        if source != DATE_CLOCK and (movement := _movement(conditions, scenario.name, source)) is not None
    )


def sources(conditions: ConditionsRecord) -> tuple[str, ...]:
    """Return the clocks that were read, in the order of their first reading."""
    return tuple(dict.fromkeys(one.source for one in conditions.clocks))


def _movement(conditions: ConditionsRecord, scenario: str, source: str) -> Movement | None:
    found = [one for one in conditions.readings(source) if one.scenario == scenario]
    moved = [(later.offset - earlier.offset, earlier.error + later.error) for earlier, later in pairwise(found)]
    if source != _OF_THE_MACHINE:  # its offset grows with each step, and nothing is corrected by it
        moved += [(one.offset - conditions.ahead(source), one.error) for one in found]
    beyond = [seconds for seconds, error in moved if abs(seconds) - error > MOST_MOVED]
    return Movement(scenario, source, max(beyond, key=abs)) if beyond else None


@once
def span_offsets(evidence: Evidence) -> tuple[SpanOffset, ...]:
    """Return how far the spans of each process are ahead of its callers'.

    A request is received after it was sent and answered before the answer was read, so each pair of spans gives an
    upper and a lower limit; the tightest of all pairs count.
    """
    limits: dict[tuple[str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for spans in evidence.traces.spans.values():
        known = {span.span_id: span for span in spans}
        for span in spans:
            parent = known.get(span.parent_id)
            if parent is not None and parent.service != span.service:
                lowers, uppers = limits[parent.service, span.service]
                lowers.append(span.ended - parent.ended)
                uppers.append(span.started - parent.started)
    found = []
    for (caller, process), (lowers, uppers) in sorted(limits.items()):
        lower, upper = max(lowers), min(uppers)
        found.append(SpanOffset(caller, process, (lower + upper) / 2, abs(upper - lower) / 2, len(lowers)))
    return tuple(found)


def extremes(readings: tuple[ClockRecord, ...]) -> tuple[float, float, float]:
    """Return the least and the greatest offset among readings, and the greatest error."""
    offsets = [one.offset for one in readings]
    return min(offsets), max(offsets), max(one.error for one in readings)
