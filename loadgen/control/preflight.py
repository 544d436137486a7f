"""Check of which scenarios a target can run: faults and toggles need admin endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.loadgen.control.toxiproxy import CURE as TOXIPROXY_CURE
from reelbench.loadgen.plan.fault_plan import Side, sides
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.target.target_error import TargetError

Need = Literal["providers", "service", "network", "switches"]
"""Requirement of a scenario: faults of a side, or the toggles of the service (YAML key ``switches``)."""

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
    "network": ("no faults of the network can be made", TOXIPROXY_CURE),
    "switches": (
        "no switches of the service can be changed",
        "start the service with SERVICE_ADMIN=true on this machine",
    ),
}
"""Problem and cure for each requirement that is not met."""
_ELSEWHERE = (
    "they need faults and switches of the service of this project; write faults by command or of the network instead "
    "(docs/faults.md)"
)


async def preflight(
    scenarios: Sequence[Scenario],
    offered: Mapping[Side, AdminClient],
    *,
    named: bool,
    say: Callable[[str], None],
    network: str | None = None,
    ours: bool | None = True,
) -> tuple[list[Scenario], dict[Side, AdminClient]]:
    """Return the scenarios that can run here, and the admin clients of the sides that these scenarios use.

    Scenarios of resources also use the call log of the providers, but run without it.

    Args:
        scenarios: the requested scenarios.
        offered: the admin clients that may work.
        named: whether the user named the scenarios. Named scenarios must all be possible; impossible ones of a default
            choice are left out, with a line to the user.
        say: shows that line.
        network: why no faults of the network can be made; None: they can, or no scenario has any.
        ours: whether the target is the service of this project; False: its faults and switches are not asked for.

    Raises:
        TargetError: a named scenario, or every scenario, is not possible.
    """
    needed = frozenset[Need]().union(*(needs(scenario) for scenario in scenarios))
    used: frozenset[Need] = (
        needed | {"providers"} if any(spec.dimension == "resources" for spec in scenarios) else needed
    )
    admin: dict[Side, AdminClient] = {}
    reasons: dict[Need, str] = {} if network is None else {"network": network}
    for need in sorted(used - {"network"}):
        if ours is False:
            reasons[need] = "the target is another server"
            continue
        try:
            if need == "switches":
                await offered["service"].toggles()
            elif need in offered:
                await offered[need].faults()
                admin[need] = offered[need]
            else:
                reasons[need] = "their URL is not known"
        except AdminError as error:
            reasons[need] = str(error)
    possible = [scenario for scenario in scenarios if not needs(scenario) & reasons.keys()]
    left_out = [scenario.name for scenario in scenarios if scenario not in possible]
    if left_out:
        why = _whys({need: reasons[need] for need in sorted(needed & reasons.keys())}, ours=ours)
        if named or not possible:
            raise TargetError(f"{', '.join(left_out)} cannot run: {why}")
        say(f"left out: {', '.join(left_out)}: {why}")
    return possible, admin


def _whys(reasons: Mapping[Need, str], *, ours: bool | None) -> str:
    """Return why scenarios cannot run, with the cure; of another server, one sentence for all of its own faults."""
    if ours is not False:
        return "; ".join(_why(need, reason) for need, reason in reasons.items())
    network = [_why(need, reason) for need, reason in reasons.items() if need == "network"]
    return "; ".join([*([_ELSEWHERE] if reasons.keys() - {"network"} else []), *network])


def _why(need: Need, reason: str) -> str:
    problem, cure = _CURES[need]
    return f"{problem} ({reason}): {cure}"


def needs(scenario: Scenario) -> frozenset[Need]:
    """Return the requirements of a scenario; commands need nothing of the target."""
    found: set[Need] = {side for side in sides(scenario) if side != "command"}
    return frozenset(found | {"switches"}) if any(case.toggles.given() for case in scenario.cases) else frozenset(found)


def default_choice(scenarios: Sequence[Scenario], *, ours: bool | None, metrics: bool = True) -> list[Scenario]:
    """Return the scenarios that run when none is named.

    Some do not run against the bundled service. Scenarios of resources show nothing of another maker's server whose
    metrics are not known, and a report without data would be the verdict of every such run.
    """
    return [
        scenario
        for scenario in scenarios
        if (scenario.default_for == "every_target" or ours is False)
        and (metrics or ours is not False or scenario.dimension != "resources")
    ]
