"""Calls that reached a provider although its circuit breaker was open, counted at the provider."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from reelbench.loadgen.record.jobs import CallRecord
from reelbench.reporting.analysis.outages import transitions
from reelbench.reporting.evidence.evidence import Evidence


class OpenInterval(msgspec.Struct, frozen=True):
    """The time from one opening of a breaker to its next probe."""

    scenario: str
    case: str
    provider: str
    opened: float
    until: float
    """Infinite when the breaker was still open at the end of the case."""

    def holds(self, call: CallRecord) -> bool:
        """True when the call arrived at this provider within the interval."""
        return (call.scenario, call.case, call.provider) == (
            self.scenario,
            self.case,
            self.provider,
        ) and self.opened < call.arrived < self.until


class OpenBreakerCalls(msgspec.Struct, frozen=True):
    """Arrivals within open intervals."""

    intervals: tuple[OpenInterval, ...]
    counted: int
    """Calls that the providers of the opened breakers counted."""
    passed: tuple[CallRecord, ...]
    """Calls sent while the breaker was open, or at an unknown time: each one is a violation."""
    in_flight: tuple[CallRecord, ...]
    """Calls sent before the opening, which a breaker cannot stop."""


def open_intervals(evidence: Evidence, *scenarios: str) -> tuple[OpenInterval, ...]:
    """Return every interval of scenarios in which a breaker was open."""
    places = dict.fromkeys(
        (t.scenario, t.case, t.provider) for t in evidence.run.transitions if t.scenario in scenarios
    )
    found = []
    for place in places:
        changes = transitions(evidence, *place)
        ends = [after.at for _, after in pairwise(changes)] + [float("inf")]
        found += [
            OpenInterval(*place, change.at, end)
            for change, end in zip(changes, ends, strict=False)
            if change.after == "open"
        ]
    return tuple(found)


def open_breaker_calls(evidence: Evidence, *scenarios: str) -> OpenBreakerCalls:
    """Sort the calls that arrived while a breaker was open by the time at which they were sent."""
    intervals = open_intervals(evidence, *scenarios)
    protected: dict[tuple[str, str, str], list[OpenInterval]] = {}
    for interval in intervals:
        protected.setdefault((interval.scenario, interval.case, interval.provider), []).append(interval)
    calls = [c for c in evidence.calls if (c.scenario, c.case, c.provider) in protected]
    passed: list[CallRecord] = []
    in_flight: list[CallRecord] = []
    for call in calls:
        place = (call.scenario, call.case, call.provider)
        found = next((i for i in protected[place] if i.opened < call.arrived < i.until), None)
        if found is None:
            continue
        before = call.sent is not None and call.sent < found.opened
        (in_flight if before else passed).append(call)
    return OpenBreakerCalls(intervals, len(calls), tuple(passed), tuple(in_flight))
