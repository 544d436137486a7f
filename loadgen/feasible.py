"""Which scenarios a target can run: those with faults need somebody who injects them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from loadgen.controls import ControlError, Controls
from loadgen.scenario import Scenario
from loadgen.target import TargetError
from loadgen.timeline import Side, sides

_CURES: dict[Side, str] = {
    "service": "start the service with SERVICE_FAULTS=true on this machine",
    "providers": "start the mock providers with PROVIDERS_FAULTS=true on this machine and name them with --providers",
}


async def feasible(
    scenarios: Sequence[Scenario], offered: Mapping[Side, Controls], *, named: bool, say: Callable[[str], None]
) -> tuple[list[Scenario], dict[Side, Controls]]:
    """The scenarios that can run here, and the controls of the sides whose faults can be injected.

    Args:
        scenarios: what was asked for.
        offered: the controls that there may be.
        named: whether the user chose the scenarios: then each must be possible; otherwise those that are not are left
            out, with a line to the user.
        say: takes that line.

    Raises:
        TargetError: a chosen scenario, or every one, is not possible.
    """
    needed = frozenset[Side]().union(*(sides(scenario) for scenario in scenarios))
    controls: dict[Side, Controls] = {}
    reasons: dict[Side, str] = {}
    for side in sorted(needed):
        try:
            reasons[side] = "they are not known"
            if side in offered:
                await offered[side].faults()
                controls[side] = offered[side]
        except ControlError as error:
            reasons[side] = str(error)
    possible = [scenario for scenario in scenarios if sides(scenario) <= controls.keys()]
    left_out = [scenario.name for scenario in scenarios if scenario not in possible]
    if left_out:
        missing = [side for side in sorted(needed) if side not in controls]
        why = "; ".join(
            f"no faults of the {side} can be injected ({reasons[side]}): {_CURES[side]}" for side in missing
        )
        if named or not possible:
            raise TargetError(f"{', '.join(left_out)} cannot run: {why}")
        say(f"left out: {', '.join(left_out)}: {why}")
    return possible, controls
