"""The active fault plan: draws the fault of each call, and counts.

All methods run in the event loop of the process without await, so each draw is atomic.
"""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b

import msgspec

from reelbench.service.faults.plan import Offer, Plan, Rule


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one call."""

    rule: Rule
    number: int
    """number of the hit of this rule, from 1"""


class RuleState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule with its counts."""

    provider: str
    kind: str
    rate: float
    seen: int
    """calls that reached this rule: calls of its target that no earlier rule hit"""
    hit: int
    status: int | None = None
    seconds: float | None = None


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a response of ``/faults``."""

    seed: int
    rules: list[RuleState]
    calls: dict[str, int]
    """all calls of each target since the process started"""
    lifetime: float | None = None
    """lifetime of the plan in seconds"""


class ActivePlan:
    """An active plan; a call stays with the plan that was active at its arrival."""

    def __init__(self, plan: Plan, offer: Offer, now: Callable[[], float]) -> None:
        self.plan = plan
        self._now = now
        self._over = math.inf if plan.lifetime is None else now() + plan.lifetime
        self.lifted = asyncio.Event()
        """set when another plan becomes active; ends stalls"""
        self._seen = dict.fromkeys(plan.rules, 0)
        self._hit = dict.fromkeys(plan.rules, 0)
        order = list(offer.kinds)
        self._ordered = sorted(plan.rules, key=lambda rule: order.index(rule.kind))

    def left(self) -> float:
        """Return the seconds until the plan ends, infinity without a lifetime."""
        return max(0.0, self._over - self._now())

    def draw(self, provider: str, kinds: Collection[str]) -> Fault | None:
        """Return the fault of one of these kinds that hits the next call of a target, or None."""
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
        """Return the rules in the order of the plan, with their counts."""
        return [
            RuleState(**msgspec.structs.asdict(rule), seen=self._seen[rule], hit=self._hit[rule])
            for rule in self.plan.rules
        ]


class Faults:
    """The active plan and the number of calls of each target."""

    def __init__(self, offer: Offer, now: Callable[[], float] = time.monotonic) -> None:
        """Start without faults; `now` returns seconds of a monotonic clock, for lifetimes."""
        self.offer = offer
        self._now = now
        self._active = ActivePlan(Plan(), offer, now)
        self._calls = dict.fromkeys(offer.targets, 0)

    def arrived(self, provider: str) -> ActivePlan:
        """Count a call and return the active plan."""
        self._calls[provider] += 1
        return self._current()

    def replace(self, plan: Plan) -> State:
        """Activate a plan, end the stalls of the last one, and return its final state."""
        last = self.state()
        self._put(plan)
        return last

    def state(self) -> State:
        """Return the active plan and all counts."""
        current = self._current()
        return State(current.plan.seed, current.rules(), dict(self._calls), current.plan.lifetime)

    def _current(self) -> ActivePlan:
        # Checked on access instead of by a timer; waits for the end of a plan use `left`.
        if self._active.left() == 0:
            self._put(Plan())
        return self._active

    def _put(self, plan: Plan) -> None:
        self._active.lifted.set()
        self._active = ActivePlan(plan, self.offer, self._now)


# The calls that a rule sees are divided into blocks, and the hits of each block are spread over it by a seeded shuffle.
# The block is the smallest one with a whole number of hits, up to 100 calls: 10 calls with 3 hits at 0.3, 20 with 1 at
# 0.05. A rate that needs a longer block (0.123) carries its remainder over from block to block. A shuffle, not an even
# spread (every third call), because the fault must be able to hit a retry again: at an even 30 % no call would fail
# twice in a row, and each first retry would succeed.
_LONGEST_BLOCK = 100
_ROUNDING = Fraction(1, 10**12)
"""Relative distance within which a rate is read as a simple fraction: 1 - 0.7 is 0.3."""


def hits(seed: int, provider: str, kind: str, rate: float, ordinal: int) -> bool:
    """Return whether the fault hits the call with this ordinal; it depends on the arguments alone.

    After n calls the number of hits is `rate * n`, exactly, at the end of a block (to the nearest whole number when
    the rate needs a longer block than 100), and within the hits of one block everywhere else. `ordinal` is the number
    of the call among those that the rule sees, from 0.
    """
    exact, size = _cut(rate)
    number, place = divmod(ordinal, size)
    return place in _block(f"{seed}/{provider}/{kind}", exact, size, number)


@functools.lru_cache(maxsize=64)
def _cut(rate: float) -> tuple[Fraction, int]:
    """Return the exact rate and the calls of a block."""
    exact = Fraction(str(rate))
    simple = exact.limit_denominator(_LONGEST_BLOCK)
    if abs(simple - exact) <= exact * _ROUNDING:
        return simple, simple.denominator
    return exact, _LONGEST_BLOCK


@functools.lru_cache(maxsize=64)
def _block(key: str, rate: Fraction, size: int, number: int) -> frozenset[int]:
    """Return the places, in block `number`, that are hit."""
    count = round(rate * size * (number + 1)) - round(rate * size * number)

    def lot(place: int) -> bytes:
        return blake2b(f"{key}/{number}/{place}".encode(), digest_size=16).digest()

    return frozenset(sorted(range(size), key=lot)[:count])
