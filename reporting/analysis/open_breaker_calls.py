"""Calls that reached a provider although its circuit breaker was open, counted at the provider."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from reelbench.loadgen.record.jobs import CallRecord
from reelbench.reporting.analysis.outages import transitions
from reelbench.reporting.evidence.evidence import Evidence


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """From one opening of a breaker to its next probe."""

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


@dataclass(frozen=True, slots=True)
class OpenBreakerCalls:
    """Arrivals within open intervals."""

    intervals: tuple[OpenInterval, ...]
    counted: int
    """Calls that the provider counted in all, of the breakers that opened."""
    passed: tuple[CallRecord, ...]
    """Sent while the breaker was open, or at a time that is not known: each is a violation."""
    in_flight: tuple[CallRecord, ...]
    """Sent before the opening: no breaker can call them back."""


def open_intervals(evidence: Evidence, scenario: str) -> tuple[OpenInterval, ...]:
    """Every interval of a scenario in which a breaker was open."""
    places = dict.fromkeys((t.case, t.provider) for t in evidence.run.transitions if t.scenario == scenario)
    found = []
    for case, provider in places:
        changes = transitions(evidence, scenario, case, provider)
        ends = [after.at for _, after in pairwise(changes)] + [float("inf")]
        found += [
            OpenInterval(scenario, case, provider, change.at, end)
            for change, end in zip(changes, ends, strict=False)
            if change.after == "open"
        ]
    return tuple(found)


def open_breaker_calls(evidence: Evidence, scenario: str) -> OpenBreakerCalls:
    """Sort the calls that arrived while a breaker was open by the time at which they were sent."""
    intervals = open_intervals(evidence, scenario)
    protected: dict[tuple[str, str], list[OpenInterval]] = {}
    for interval in intervals:
        protected.setdefault((interval.case, interval.provider), []).append(interval)
    calls = [c for c in evidence.calls if c.scenario == scenario and (c.case, c.provider) in protected]
    passed: list[CallRecord] = []
    in_flight: list[CallRecord] = []
    for call in calls:
        found = next((i for i in protected[call.case, call.provider] if i.opened < call.arrived < i.until), None)
        if found is None:
            continue
        before = call.sent is not None and call.sent < found.opened
        (in_flight if before else passed).append(call)
    return OpenBreakerCalls(intervals, len(calls), tuple(passed), tuple(in_flight))
