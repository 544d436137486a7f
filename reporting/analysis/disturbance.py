"""What took the CPU from a case: other processes, the hypervisor, or the quota of a container."""

from __future__ import annotations

import math
from collections.abc import Collection

import msgspec

from reelbench.loadgen.record.conditions import MachineRecord
from reelbench.reporting.analysis.clocks import movements
from reelbench.reporting.evidence.evidence import Evidence, once, place_name

MAX_STEAL = 0.1
"""Share of the CPUs; above it a virtual machine waits for its host at about every tenth time slice."""
MAX_THROTTLED = 0.1
"""Share of the periods of a CPU quota; in a throttled one, service and load generator stand still for some 10 ms."""
_NAMED = 3


class Disturbance(msgspec.Struct, frozen=True):
    """Why a case is INCONCLUSIVE: one sentence with the place, and a short reason for its verdicts."""

    scenario: str
    case: str
    """Empty: all cases of the scenario."""
    reason: str

    @property
    def sentence(self) -> str:
        """The reason with its place."""
        return f"{place_name(self.scenario, self.case)}: {self.reason}"


@once
def disturbances(evidence: Evidence, dimension: str) -> tuple[Disturbance, ...]:
    """Return the disturbed cases of a dimension, and the scenarios in which a clock moved, in the order of the run."""
    moved = tuple(Disturbance(one.scenario, "", one.reason) for one in movements(evidence, dimension))
    return (*_on_the_machine(evidence, dimension), *moved)


def _on_the_machine(evidence: Evidence, dimension: str) -> tuple[Disturbance, ...]:
    conditions = evidence.conditions
    if conditions is None or conditions.others_limit is None:
        return ()
    seen = {(one.scenario, one.case): one for one in conditions.machine}
    return tuple(
        Disturbance(scenario.name, case.name, reason)
        for scenario, case in evidence.cases(dimension)
        if (found := seen.get((scenario.name, case.name))) is not None
        and (reason := disturbance(found, conditions.others_limit)) is not None
    )


def reason_in(evidence: Evidence, dimension: str, places: Collection[tuple[str, str]]) -> str | None:
    """Return why the first disturbed case among some is INCONCLUSIVE; None: none of them was disturbed."""
    scenarios = {(scenario, "") for scenario, _ in places}
    found = (
        one.reason
        for one in disturbances(evidence, dimension)
        if (one.scenario, one.case) in places or (one.scenario, one.case) in scenarios
    )
    return next(found, None)


def disturbance(machine: MachineRecord, limit: float) -> str | None:
    """Return what took more of the CPU than a case can bear; None: nothing did.

    Others count only where they left fewer idle CPUs than the square root of all: with more than that, a process that
    wants to run seldom waits (square-root staffing; Halfin and Whitt, Oper. Res. 29 (1981) 567).

    Args:
        machine: what was observed.
        limit: share of the CPUs that others may take.
    """
    reasons = []
    idle = (machine.idle or 0.0) * machine.cpus
    if machine.others is not None and machine.others > limit and idle < math.sqrt(machine.cpus):
        reasons.append(
            f"other processes took {_percent(machine.others)} of the CPU{_who(machine)}, more than {_percent(limit)}"
        )
    if machine.steal is not None and machine.steal > MAX_STEAL:
        reasons.append(
            f"the host of this virtual machine took {_percent(machine.steal)} of the CPU (steal), more than "
            f"{_percent(MAX_STEAL)}"
        )
    throttling = machine.throttling
    if throttling is not None and throttling.share > MAX_THROTTLED:
        reasons.append(
            f"the CPU quota of the container stopped its processes in {_percent(throttling.share)} of the periods, "
            f"more than {_percent(MAX_THROTTLED)}"
        )
    return "; ".join(reasons) or None


def takers(machine: MachineRecord) -> str:
    """Return the programs that took most, with their shares; empty when no program stands out."""
    return ", ".join(f"{one.name} {_percent(one.share)}" for one in machine.takers[:_NAMED])


def _who(machine: MachineRecord) -> str:
    named = takers(machine)
    return f" ({named})" if named else ""


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
