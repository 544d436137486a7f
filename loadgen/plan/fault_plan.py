"""The fault plan of a case: expanded for a profile, seeded, and checked for consistency."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import msgspec

from reelbench.loadgen.plan.scenario import (
    PROFILES,
    Case,
    Fault,
    FaultKind,
    FaultSpec,
    FaultTarget,
    Profile,
    Scenario,
    Seconds,
)

Side = Literal["providers", "service"]
"""The injecting side: the providers for their own faults, the service for faults of its store."""

_FIELDS: dict[FaultKind, frozenset[str]] = {
    "outage": frozenset(),
    "stall": frozenset({"seconds"}),
    "error": frozenset({"status"}),
    "corrupt": frozenset(),
    "latency": frozenset({"seconds"}),
}
"""Optional fields of each kind, in addition to the rate."""


class PlannedFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault of the plan, completely determined."""

    scenario: str
    case: str
    at: float
    """Seconds after the start of the case's measured part."""
    until: float | None
    """None: the end of the case."""
    target: FaultTarget
    kind: FaultKind
    rate: float
    status: int | None
    seconds: float | None
    seed: int
    """Seed of the exact schedule; 63 bits."""

    @property
    def side(self) -> Side:
        """The injecting side."""
        return _side(self.target)


@dataclass(frozen=True, slots=True)
class Window:
    """Faults of one side with the same start and end."""

    side: Side
    at: float
    until: float | None
    faults: tuple[PlannedFault, ...]


def plan_faults(scenario: Scenario, case: Case, profile: Profile, seed: int) -> tuple[PlannedFault, ...]:
    """Return the planned faults of a case, in order of time."""
    planned = [
        PlannedFault(
            scenario=scenario.name,
            case=case.name,
            at=at,
            until=until,
            target=fault.what.target,
            kind=fault.what.kind,
            rate=fault.what.rate,
            status=fault.what.status,
            seconds=fault.what.seconds,
            seed=_seed(f"{seed}:{scenario.name}:{case.name}:fault:{number}:{strike}"),
        )
        for number, fault in enumerate(case.faults)
        for strike, (at, until) in enumerate(_strikes(fault, profile))
    ]
    return tuple(sorted(planned, key=lambda fault: (fault.at, fault.target, fault.kind)))


def plan_all_faults(scenarios: Iterable[Scenario], profile: Profile, seed: int) -> tuple[PlannedFault, ...]:
    """Return the planned faults of a run, in the order of scenarios, cases and time."""
    return tuple(
        fault
        for scenario in scenarios
        for case in scenario.cases
        for fault in plan_faults(scenario, case, profile, seed)
    )


def sides(scenario: Scenario) -> frozenset[Side]:
    """Return the sides that must inject the faults of a scenario."""
    return frozenset(_side(fault.what.target) for case in scenario.cases for fault in case.faults)


def windows(faults: tuple[PlannedFault, ...]) -> tuple[Window, ...]:
    """Group faults by side and time: one request to a side carries all its faults of that time."""
    groups: dict[tuple[Side, float, float | None], list[PlannedFault]] = {}
    for fault in faults:
        groups.setdefault((fault.side, fault.at, fault.until), []).append(fault)
    return tuple(Window(side, at, until, tuple(group)) for (side, at, until), group in groups.items())


def problems(case: Case) -> Iterator[str]:
    """Yield one line for each impossible combination of values in the faults of a case, with its cure."""
    for number, fault in enumerate(case.faults):
        place = f"faults.{number}"
        yield from (f"{place}.{problem}" for problem in _alone(fault))
        yield from (f"{place}.what.{problem}" for problem in _unfit(fault.what))
    bounded = [fault for fault in case.faults if fault.until is not None]
    if case.seconds is not None:
        yield from _outlasting(case, case.seconds)
    elif bounded and case.pace is None:
        yield "pace: is missing; add it, the length of a case whose faults end must be known"
    elif case.pace is not None:
        yield from _beyond(case, case.pace)
    yield from _together(case)


def _alone(fault: Fault) -> Iterator[str]:
    if fault.until is not None and fault.until <= fault.at:
        yield f"until: is {fault.until:g}, not after at ({fault.at:g}); make it later"
    often = max(fault.times.of(profile) for profile in PROFILES) > 1
    if often and fault.every is None:
        yield "every: is missing; add it, the fault strikes more than once"
    if fault.every is not None and fault.until is None:
        yield "until: is missing; add it, a fault must end before its next strike"
    elif fault.every is not None and fault.until is not None and fault.every <= fault.until - fault.at:
        yield f"every: is {fault.every:g}, not longer than the fault ({fault.until - fault.at:g}); make it longer"


def _unfit(what: FaultSpec) -> Iterator[str]:
    if what.target == "store" and what.kind == "corrupt":
        yield "kind: is 'corrupt', which the store does not offer; use outage, stall, error, latency"
    if what.kind == "outage" and what.rate != 1:
        yield f"rate: is {what.rate:g}; remove it, an outage refuses every call"
    if what.kind == "latency" and what.seconds is None:
        yield "seconds: is missing; add it, a latency needs it"
    for name in ("status", "seconds"):
        if getattr(what, name) is not None and name not in _FIELDS[what.kind]:
            yield f"{name}: does not belong to the kind {what.kind!r}; remove it"
    if what.target == "store" and what.status is not None:
        yield "status: does not belong to the store, which speaks no HTTP; remove it"


def _beyond(case: Case, pace: float) -> Iterator[str]:
    if not case.concurrency:
        return  # the missing key is reported on its own
    for profile in PROFILES:
        least = (case.iterations.of(profile) - 1) * pace / case.concurrency  # intended start of the last job
        ends = [until for fault in case.faults for _, until in _strikes(fault, profile) if until is not None]
        if ends and max(ends) >= least:
            yield (
                f"faults: end after {max(ends):g} s in the profile {profile}, but its jobs may end after {least:g} s; "
                "add iterations"
            )


def _outlasting(case: Case, seconds: Seconds) -> Iterator[str]:
    """Check that the faults of an open case end while jobs still arrive."""
    for profile in PROFILES:
        ends = [until for fault in case.faults for _, until in _strikes(fault, profile) if until is not None]
        if ends and max(ends) >= seconds.of(profile):
            yield (
                f"faults: end after {max(ends):g} s in the profile {profile}, but jobs arrive for "
                f"{seconds.of(profile)} s; make seconds longer"
            )


def _together(case: Case) -> Iterator[str]:
    """Check that faults of a side begin and end together or do not overlap: a side holds one plan at a time."""
    for profile in PROFILES:
        spans = [
            (_side(fault.what.target), at, until, number, (fault.what.target, fault.what.kind))
            for number, fault in enumerate(case.faults)
            for at, until in _strikes(fault, profile)
        ]
        clashes = {
            (first[3], second[3])
            for first, second in combinations(sorted(spans, key=lambda span: span[1]), 2)
            if first[0] == second[0]
            and (first[4] == second[4] if first[1:3] == second[1:3] else first[2] is None or second[1] < first[2])
        }
        if clashes:
            yield from (
                f"faults.{max(pair)}: overlaps faults.{min(pair)} in time; let both begin and end together, "
                "or one after the other"
                for pair in sorted(clashes)
            )
            return


def _strikes(fault: Fault, profile: Profile) -> list[tuple[float, float | None]]:
    times = fault.times.of(profile) if fault.every is not None else 1
    starts = [strike * (fault.every or 0.0) for strike in range(times)]
    return [(fault.at + start, None if fault.until is None else fault.until + start) for start in starts]


def _side(target: FaultTarget) -> Side:
    return "service" if target == "store" else "providers"


def _seed(place: str) -> int:
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:8]) >> 1
