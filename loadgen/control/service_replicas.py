"""Replicas of the service behind one address, and the scenarios that they cannot run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from reelbench.loadgen.control.admin_client import AdminClient, AdminError
from reelbench.loadgen.control.preflight import needs
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.target.target_error import TargetError

ASKED: Final = 16
"""Requests that look for replicas; a balancer that chooses one of two by lot hides one with a chance of 1 in 32,768."""


async def replicas_of(service: AdminClient, path: str, asked: int = ASKED) -> int:
    """Return the number of processes that answered for the service; 1 when a process does not say which one it is.

    The requests are in flight at the same time, so each has a connection of its own: many balancers choose a process
    for a connection, not for a request.
    """
    try:
        found = await asyncio.gather(*(service.running(path) for _ in range(asked)))
    except AdminError:
        return 1
    return max(1, len({one.instance for one in found if one.instance}))


def of_one_process(scenario: Scenario) -> bool:
    """Return whether a scenario measures or changes a single process of the service.

    Its own faults and switches are those of one process, and so are its circuit breakers, which answer faults of the
    providers, and the memory and CPU of a scenario of resources. A cancellation that reaches another replica than the
    job's removes the job from the store, and the job ends only when its own replica finds that out.
    """
    return scenario.dimension == "resources" or "cancel" in scenario.every_step or bool(needs(scenario) - {"network"})


def for_replicas(
    scenarios: Sequence[Scenario], replicas: int, *, named: bool, say: Callable[[str], None]
) -> list[Scenario]:
    """Return the scenarios that hold for this number of replicas.

    Args:
        scenarios: the requested scenarios.
        replicas: processes of the service behind its address.
        named: whether the user named the scenarios. Named scenarios must all hold; the others of a default choice are
            left out, with a line to the user.
        say: shows that line.

    Raises:
        TargetError: a named scenario, or every scenario, needs a single process.
    """
    if replicas == 1:
        return list(scenarios)
    left_out = [scenario.name for scenario in scenarios if of_one_process(scenario)]
    why = (
        f"the service has {replicas} replicas, and faults, switches, circuit breakers, cancellations, memory and "
        "CPU are those of one process: measure one replica at its own address"
    )
    possible = [scenario for scenario in scenarios if not of_one_process(scenario)]
    if left_out and (named or not possible):
        raise TargetError(f"{', '.join(left_out)} cannot run: {why}")
    if left_out:
        say(f"left out: {', '.join(left_out)}: {why}")
    return possible
