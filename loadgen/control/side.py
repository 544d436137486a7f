"""The sides that inject faults: providers, service, programs of the user's, and the proxy of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from reelbench.loadgen.plan.fault_plan import PlannedFault


class SideError(Exception):
    """A side that did not do what it was asked; the message is one line."""


class Rule(msgspec.Struct, frozen=True):
    """A fault rule in force, with counts of the calls it saw and hit."""

    provider: str
    kind: str
    seen: int
    hit: int


class FaultState(msgspec.Struct, frozen=True):
    """The rules in force; a side that counts nothing has none."""

    rules: tuple[Rule, ...] = ()


class Applied(msgspec.Struct, frozen=True):
    """The result of a request to begin faults."""

    error: str | None = None
    """Why the faults did not begin; they need no end then."""
    over: bool = False
    """Whether the faults have ended already."""
    output: str | None = None
    """File of the run's folder with the output of a program."""

    @property
    def ended(self) -> bool:
        """Whether nothing has to be ended."""
        return self.over or self.error is not None


class FaultSide(Protocol):
    """One side; all methods raise SideError."""

    async def inject(self, faults: Sequence[PlannedFault], lifetime: float) -> Applied:
        """Begin faults in place of those in force; a side that can lets them end by themselves after `lifetime`."""

    async def lift(self) -> FaultState:
        """End all faults; return the final counts."""

    async def faults(self) -> FaultState:
        """Return the faults in force."""
