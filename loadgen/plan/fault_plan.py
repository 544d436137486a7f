"""The fault plan of a case: expanded for a profile, seeded, and checked for consistency."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePath
from typing import Literal

import msgspec

from reelbench.loadgen.plan.scenario import (
    PROFILES,
    Case,
    CommandSpec,
    Fault,
    FaultKind,
    FaultSpec,
    FaultTarget,
    NetworkKind,
    Profile,
    Scenario,
    Seconds,
)

Side = Literal["providers", "service", "command", "network"]
"""The injecting side: providers for their own faults, the service for its store, programs, or the proxy before it."""

_FIELDS: dict[FaultKind, frozenset[str]] = {
    "outage": frozenset(),
    "stall": frozenset({"seconds"}),
    "error": frozenset({"status"}),
    "corrupt": frozenset(),
    "latency": frozenset({"seconds"}),
}
"""Optional fields of each kind, in addition to the rate."""
_NETWORK_FIELDS: dict[NetworkKind, frozenset[str]] = {
    "latency": frozenset({"rate", "seconds", "jitter", "direction"}),
    "bandwidth": frozenset({"rate", "kilobytes_per_second", "direction"}),
    "timeout": frozenset({"rate", "seconds", "direction"}),
    "reset": frozenset({"rate", "seconds", "direction"}),
    "down": frozenset(),
}
"""Optional fields of each network fault."""
_NETWORK_NEEDS: dict[NetworkKind, str] = {"latency": "seconds", "bandwidth": "kilobytes_per_second"}
_PARTS = ("rate", "status", "seconds", "jitter", "kilobytes_per_second", "direction")


class PlannedCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The programs of a fault."""

    start: tuple[str, ...]
    stop: tuple[str, ...] | None = None
    timeout: float
    environment: tuple[str, ...] = ()
    """Variables with secrets that the programs receive."""

    @property
    def name(self) -> str:
        """The program and its subcommand, such as ``docker pause``."""
        words = [PurePath(self.start[0]).name, *(word for word in self.start[1:2] if word.isalpha())]
        return " ".join(words)[:60]


class PlannedFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault of the plan, completely determined."""

    scenario: str
    case: str
    at: float
    """Seconds after the start of the case's measured part."""
    until: float | None
    """None: the end of the case."""
    target: FaultTarget | Literal["command", "network"]
    kind: str
    """Kind of the fault; of a command its name."""
    rate: float
    status: int | None
    seconds: float | None
    seed: int
    """Seed of the exact schedule; 63 bits."""
    command: PlannedCommand | None = None
    jitter: float | None = None
    kilobytes_per_second: int | None = None
    direction: Literal["upstream", "downstream"] | None = None

    @property
    def side(self) -> Side:
        """The injecting side."""
        return side_of(self.target)


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
            target=_target(fault.what),
            kind=_kind(fault.what),
            rate=fault.what.rate,
            status=fault.what.status,
            seconds=fault.what.seconds,
            seed=_seed(f"{seed}:{scenario.name}:{case.name}:fault:{number}:{strike}"),
            command=_command(fault.what),
            jitter=fault.what.jitter,
            kilobytes_per_second=fault.what.kilobytes_per_second,
            direction=(fault.what.direction or "downstream") if fault.what.network else None,
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
    return frozenset(side_of(_target(fault.what)) for case in scenario.cases for fault in case.faults)


def side_of(target: FaultTarget | Literal["command", "network"]) -> Side:
    """Return the side that injects the faults of a target."""
    match target:
        case "command" | "network":
            return target
        case "store":
            return "service"
        case _:
            return "providers"


def commands(scenario: Scenario) -> tuple[CommandSpec, ...]:
    """Return the commands of the faults of a scenario."""
    found = (fault.what for case in scenario.cases for fault in case.faults)
    return tuple(what.command for what in found if what.command is not None)


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
    bounded = [fault for fault in case.faults if fault.until is not None or fault.what.instant]
    if case.seconds is not None:
        yield from _outlasting(case, case.seconds)
    elif bounded and case.pace is None:
        yield "pace: is missing; add it, the length of a case whose faults end must be known"
    elif case.pace is not None:
        yield from _beyond(case, case.pace)
    yield from _together(case)


def _alone(fault: Fault) -> Iterator[str]:
    if fault.what.instant and fault.until is not None:
        yield "until: does not go with a command without stop; remove it, or add the stop"
    elif fault.until is not None and fault.until <= fault.at:
        yield f"until: is {fault.until:g}, not after at ({fault.at:g}); make it later"
    often = max(fault.times.of(profile) for profile in PROFILES) > 1
    if often and fault.every is None:
        yield "every: is missing; add it, the fault strikes more than once"
    if fault.every is None or fault.what.instant:
        return
    if fault.until is None:
        yield "until: is missing; add it, a fault must end before its next strike"
    elif fault.every <= fault.until - fault.at:
        yield f"every: is {fault.every:g}, not longer than the fault ({fault.until - fault.at:g}); make it longer"


def _unfit(what: FaultSpec) -> Iterator[str]:
    if what.command is not None:
        yield from _foreign(what, frozenset(), "a command")
    elif what.network is not None:
        yield from _foreign(what, _NETWORK_FIELDS[what.network], f"the network fault {what.network!r}")
        if (need := _NETWORK_NEEDS.get(what.network)) and getattr(what, need) is None:
            yield f"{need}: is missing; add it, the network fault {what.network!r} needs it"
        if what.jitter is not None and what.seconds is not None and what.jitter > what.seconds:
            yield f"jitter: is {what.jitter:g}, more than seconds ({what.seconds:g}); make it no more"
    elif what.kind is not None:
        yield from _unfit_kind(what, what.kind)


def _foreign(what: FaultSpec, known: frozenset[str], name: str) -> Iterator[str]:
    given = (key for key in _PARTS if key in what.model_fields_set and key not in known)
    yield from (f"{key}: does not belong to {name}; remove it" for key in given)


def _unfit_kind(what: FaultSpec, kind: FaultKind) -> Iterator[str]:
    if what.target == "store" and kind == "corrupt":
        yield "kind: is 'corrupt', which the store does not offer; use outage, stall, error, latency"
    if kind == "outage" and what.rate != 1:
        yield f"rate: is {what.rate:g}; remove it, an outage refuses every call"
    if kind == "latency" and what.seconds is None:
        yield "seconds: is missing; add it, a latency needs it"
    for name in ("status", "seconds", "jitter", "kilobytes_per_second", "direction"):
        if getattr(what, name) is not None and name not in _FIELDS[kind]:
            yield f"{name}: does not belong to the kind {kind!r}; remove it"
    if what.target == "store" and what.status is not None:
        yield "status: does not belong to the store, which speaks no HTTP; remove it"


def _beyond(case: Case, pace: float) -> Iterator[str]:
    if not case.concurrency:
        return  # the missing key is reported on its own
    for profile in PROFILES:
        least = (case.iterations.of(profile) - 1) * pace / case.concurrency  # intended start of the last job
        ends = _ends(case, profile)
        if ends and max(ends) >= least:
            yield (
                f"faults: end after {max(ends):g} s in the profile {profile}, but its jobs may end after {least:g} s; "
                "add iterations"
            )


def _outlasting(case: Case, seconds: Seconds) -> Iterator[str]:
    """Check that the faults of an open case end while jobs still arrive."""
    for profile in PROFILES:
        ends = _ends(case, profile)
        if ends and max(ends) >= seconds.of(profile):
            yield (
                f"faults: end after {max(ends):g} s in the profile {profile}, but jobs arrive for "
                f"{seconds.of(profile)} s; make seconds longer"
            )


def _ends(case: Case, profile: Profile) -> list[float]:
    """Return when the strikes of a case end, of those that end before it."""
    strikes = [(fault.what.instant, strike) for fault in case.faults for strike in _strikes(fault, profile)]
    ends = [at if instant else until for instant, (at, until) in strikes]
    return [end for end in ends if end is not None]


def _together(case: Case) -> Iterator[str]:
    """Check that faults of a side begin and end together or do not overlap: a side holds one plan at a time."""
    for profile in PROFILES:
        spans = [
            (side_of(_target(fault.what)), at, at if fault.what.instant else until, number, _same(fault.what))
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


def _same(what: FaultSpec) -> tuple[str, str]:
    """Return what two faults of the same side and time must not share; a side runs one command at a time."""
    return _target(what), "" if what.command is not None else _kind(what)


def _target(what: FaultSpec) -> FaultTarget | Literal["command", "network"]:
    if what.command is not None:
        return "command"
    return "network" if what.network is not None else what.target or "llm"


def _kind(what: FaultSpec) -> str:
    command = _command(what)
    return command.name if command is not None else what.network or what.kind or ""


def _command(what: FaultSpec) -> PlannedCommand | None:
    spec = what.command
    if spec is None:
        return None
    return PlannedCommand(start=spec.start, stop=spec.stop, timeout=spec.timeout, environment=spec.environment)


def _seed(place: str) -> int:
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:8]) >> 1
