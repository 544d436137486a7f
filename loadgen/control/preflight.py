"""Which scenarios a target can run: those with faults or switches need somebody who has these controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from reelbench.loadgen.control.admin_client import ControlError, Controls
from reelbench.loadgen.plan.fault_plan import Side, sides
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.target.target import TargetError

Need = Literal["providers", "service", "switches"]
"""What a scenario needs: faults of a side, or the service's switches."""

_CURES: dict[Need, tuple[str, str]] = {
    "service": (
        "no faults of the service can be injected",
        "start the service with SERVICE_FAULTS=true on this machine",
    ),
    "providers": (
        "no faults of the providers can be injected",
        (
            "start the mock providers with PROVIDERS_FAULTS=true on this machine and name them: "
            "with --providers of python -m reelbench.loadgen, or as PROVIDERS_URL of a running stack"
        ),
    ),
    "switches": (
        "no switches of the service can be changed",
        "start the service with SERVICE_ADMIN=true on this machine",
    ),
}
"""What is wrong without it, and its cure."""


async def feasible(
    scenarios: Sequence[Scenario], offered: Mapping[Side, Controls], *, named: bool, say: Callable[[str], None]
) -> tuple[list[Scenario], dict[Side, Controls]]:
    """The scenarios that can run here, and the controls of the sides that these scenarios use.

    Those of resources also use the providers' log of calls, but run without it.

    Args:
        scenarios: what was asked for.
        offered: the controls that there may be.
        named: whether the user chose the scenarios: then each must be possible; otherwise those that are not are left
            out, with a line to the user.
        say: takes that line.

    Raises:
        TargetError: a chosen scenario, or every one, is not possible.
    """
    needed = frozenset[Need]().union(*(needs(scenario) for scenario in scenarios))
    used: frozenset[Need] = (
        needed | {"providers"} if any(spec.dimension == "resources" for spec in scenarios) else needed
    )
    controls: dict[Side, Controls] = {}
    reasons: dict[Need, str] = {}
    for need in sorted(used):
        try:
            if need == "switches":
                await offered["service"].switches()
            elif need in offered:
                await offered[need].faults()
                controls[need] = offered[need]
            else:
                reasons[need] = "they are not known"
        except ControlError as error:
            reasons[need] = str(error)
    possible = [scenario for scenario in scenarios if not needs(scenario) & reasons.keys()]
    left_out = [scenario.name for scenario in scenarios if scenario not in possible]
    if left_out:
        why = "; ".join(
            f"{_CURES[need][0]} ({reasons[need]}): {_CURES[need][1]}" for need in sorted(needed & reasons.keys())
        )
        if named or not possible:
            raise TargetError(f"{', '.join(left_out)} cannot run: {why}")
        say(f"left out: {', '.join(left_out)}: {why}")
    return possible, controls


def needs(scenario: Scenario) -> frozenset[Need]:
    """What a scenario cannot run without."""
    switched = any(case.switches.given() for case in scenario.cases)
    return frozenset[Need]().union(sides(scenario), {"switches"} if switched else ())
