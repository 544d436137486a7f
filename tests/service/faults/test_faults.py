"""The active fault plan, with a clock that the test moves."""

from __future__ import annotations

import asyncio

import msgspec

from reelbench.service.faults.faults import Faults
from reelbench.service.faults.plan import Plan, Rule
from reelbench.service.store.faults import OFFER


class Time:
    def __init__(self) -> None:
        self.at = 50.0

    def now(self) -> float:
        return self.at


OUTAGE = Plan(3, (Rule("store", "outage"),), lifetime=30)


def drawn(faults: Faults) -> str | None:
    fault = faults.arrived("store").draw("store", OFFER.kinds)
    return None if fault is None else fault.rule.kind


def test_a_plan_is_lifted_at_the_end_of_its_lifetime() -> None:
    time = Time()
    faults = Faults(OFFER, time.now)
    faults.replace(OUTAGE)
    time.at += 29.9
    assert drawn(faults) == "outage"
    rule = {"provider": "store", "kind": "outage", "rate": 1.0, "seen": 1, "hit": 1}
    shown = msgspec.to_builtins(faults.state())
    assert shown == {"seed": 3, "rules": [rule], "calls": {"store": 1}, "lifetime": 30}
    time.at += 0.1
    assert msgspec.to_builtins(faults.state()) == {"seed": 0, "rules": [], "calls": {"store": 1}}
    assert drawn(faults) is None


def test_a_replaced_plan_gets_a_full_lifetime_and_one_without_lifetime_stays() -> None:
    time = Time()
    faults = Faults(OFFER, time.now)
    faults.replace(OUTAGE)
    time.at += 20
    faults.replace(OUTAGE)
    time.at += 20
    assert drawn(faults) == "outage"
    faults.replace(Plan(3, OUTAGE.rules))
    time.at += 1e6
    assert drawn(faults) == "outage"


def test_an_expired_plan_leaves_an_empty_plan() -> None:
    time = Time()
    faults = Faults(OFFER, time.now)
    faults.replace(OUTAGE)
    plan = faults.arrived("store")
    assert (plan.left(), plan.lifted.is_set()) == (30, False)
    time.at += 31
    assert plan.left() == 0
    assert faults.replace(Plan()).rules == []
    assert plan.lifted.is_set()


async def test_replacing_a_plan_wakes_its_waiters() -> None:
    faults = Faults(OFFER)
    waiter = asyncio.create_task(faults.arrived("store").lifted.wait())
    await asyncio.sleep(0)
    faults.replace(OUTAGE)
    assert await asyncio.wait_for(waiter, 60)
