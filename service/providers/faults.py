"""The fault plan in force: draws the fault of each call, and counts.

Everything here runs on the one event loop of the process and never awaits, so each draw is atomic.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from service.providers.plan import KINDS, PROVIDERS, Plan, Rule
from service.providers.schedule import hits

ON_ARRIVAL = ("outage", "stall")
"""Kinds that strike before the request is looked at: also requests that are not valid."""
ON_ANSWER = ("error", "corrupt", "latency")
"""Kinds that strike when a good answer is ready."""


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
    """calls that reached this rule: those of its provider that no rule before it hit"""
    hit: int
    status: int | None = None
    seconds: float | None = None


class State(msgspec.Struct, frozen=True):
    """The body of an answer of ``/faults``."""

    seed: int
    rules: list[RuleState]
    calls: dict[str, int]
    """all calls of each provider since the process started, whatever became of them"""


class InForce:
    """A plan while it is in force; a call stays with the plan that was in force when it arrived."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lifted = asyncio.Event()
        """set once another plan has taken over: ends stalls"""
        self._seen = dict.fromkeys(plan.rules, 0)
        self._hit = dict.fromkeys(plan.rules, 0)
        self._ordered = sorted(plan.rules, key=lambda rule: KINDS.index(rule.kind))

    def draw(self, provider: str, kinds: tuple[str, ...]) -> Fault | None:
        """Return the fault, of one of these kinds, that hits the next call of a provider; None lets it pass."""
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
    """The plan in force and the calls of each provider."""

    def __init__(self) -> None:
        self._in_force = InForce(Plan())
        self._calls = dict.fromkeys(PROVIDERS, 0)

    def arrived(self, provider: str) -> InForce:
        """Count a call and return the plan that holds for it."""
        self._calls[provider] += 1
        return self._in_force

    def replace(self, plan: Plan) -> State:
        """Put a plan in force from the next call on, and return the final state of the last; its stalls end."""
        last = self.state()
        self._in_force.lifted.set()
        self._in_force = InForce(plan)
        return last

    def state(self) -> State:
        """Return the plan in force and all counts."""
        return State(self._in_force.plan.seed, self._in_force.rules(), dict(self._calls))
