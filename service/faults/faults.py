"""The fault plan in force: draws the fault of each call, and counts.

Everything here runs on the one event loop of the process and never awaits, so each draw is atomic.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec

from reelbench.service.faults.plan import Offer, Plan, Rule
from reelbench.service.faults.schedule import hits


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one call."""

    rule: Rule
    number: int
    """counts the hits of the rule, from 1"""


class RuleState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule and what became of the calls that it saw."""

    provider: str
    kind: str
    rate: float
    seen: int
    """calls that reached this rule: those of its target that no rule before it hit"""
    hit: int
    status: int | None = None
    seconds: float | None = None


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an answer of ``/faults``."""

    seed: int
    rules: list[RuleState]
    calls: dict[str, int]
    """all calls of each target since the process started, whatever became of them"""
    lifetime: float | None = None
    """of the plan, as it was put"""


class InForce:
    """A plan while it is in force; a call stays with the plan that was in force when it arrived."""

    def __init__(self, plan: Plan, offer: Offer, now: Callable[[], float]) -> None:
        self.plan = plan
        self._now = now
        self._over = math.inf if plan.lifetime is None else now() + plan.lifetime
        self.lifted = asyncio.Event()
        """set once another plan has taken over: ends stalls"""
        self._seen = dict.fromkeys(plan.rules, 0)
        self._hit = dict.fromkeys(plan.rules, 0)
        order = list(offer.kinds)
        self._ordered = sorted(plan.rules, key=lambda rule: order.index(rule.kind))

    def left(self) -> float:
        """Return the seconds until the plan lifts itself, infinite without a lifetime."""
        return max(0.0, self._over - self._now())

    def draw(self, provider: str, kinds: Collection[str]) -> Fault | None:
        """Return the fault, of one of these kinds, that hits the next call of a target; None lets it pass."""
        for rule in self._ordered:
            if rule.provider != provider or rule.kind not in kinds:
                continue
            ordinal = self._seen[rule]
            self._seen[rule] += 1
            if hits(self.plan.seed, provider, rule.kind, rule.rate, ordinal):
                self._hit[rule] += 1
                return Fault(rule, self._hit[rule])
        return None

    def rules(self) -> list[RuleState]:
        """Return the rules as they were written, with their counts."""
        return [
            RuleState(
                rule.provider,
                rule.kind,
                rule.rate,
                self._seen[rule],
                self._hit[rule],
                status=rule.status,
                seconds=rule.seconds,
            )
            for rule in self.plan.rules
        ]


class Faults:
    """The plan in force and the calls of each target."""

    def __init__(self, offer: Offer, now: Callable[[], float] = time.monotonic) -> None:
        """Start without faults.

        Args:
            offer: The targets and the kinds of this side.
            now: Seconds of a clock that is never stepped; lifetimes are measured with it.
        """
        self.offer = offer
        self._now = now
        self._in_force = InForce(Plan(), offer, now)
        self._calls = dict.fromkeys(offer.targets, 0)

    def arrived(self, provider: str) -> InForce:
        """Count a call and return the plan that holds for it."""
        self._calls[provider] += 1
        return self._current()

    def replace(self, plan: Plan) -> State:
        """Put a plan in force from the next call on, and return the final state of the last; its stalls end."""
        last = self.state()
        self._put(plan)
        return last

    def state(self) -> State:
        """Return the plan in force and all counts."""
        current = self._current()
        return State(current.plan.seed, current.rules(), dict(self._calls), current.plan.lifetime)

    def _current(self) -> InForce:
        # Looked at when it is asked for, not by a timer: whoever waits for a plan's end asks how much is left.
        if self._in_force.left() == 0:
            self._put(Plan())
        return self._in_force

    def _put(self, plan: Plan) -> None:
        self._in_force.lifted.set()
        self._in_force = InForce(plan, self.offer, self._now)
