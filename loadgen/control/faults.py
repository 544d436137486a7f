"""Applies the faults of a case while its jobs run, and always lifts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from reelbench.loadgen.control.admin_client import ControlError, Controls
from reelbench.loadgen.drive.clock import Clock
from reelbench.loadgen.plan.fault_plan import PlannedFault, Side, Window, windows
from reelbench.loadgen.record.run import FaultRecord

GRACE_SECONDS = 60.0
"""By which a fault outlives its planned end when this process was killed and cannot lift it."""
OPEN_END_SECONDS = 1800.0
"""The same for a fault that lasts as long as its case."""
LIFT_ATTEMPTS = 3
_LIFT_PAUSE = 0.2


class FaultError(Exception):
    """Faults that cannot be applied; the message is one sentence with the cure."""


@dataclass(slots=True)
class Injector:
    """Puts planned faults in force at their times, and keeps a record of each."""

    controls: Mapping[Side, Controls]
    clock: Clock
    say: Callable[[str], None]
    """Tells the user, one line each time."""
    records: list[FaultRecord] = field(default_factory=list)
    """Every fault so far, in the order of their beginning; one in force has no end yet."""
    changed: Callable[[], None] = lambda: None
    """Called when `records` has changed."""
    _maybe_on: set[Side] = field(default_factory=set)
    """Sides that were asked to inject and have not confirmed a lifting since: an answer may be lost on its way."""

    @asynccontextmanager
    async def during(self, faults: tuple[PlannedFault, ...]) -> AsyncIterator[None]:
        """Apply faults at their times from now on, and lift what is left at the end, however it comes.

        Raises:
            FaultError: a fault could not be applied or lifted.
        """
        planned = windows(faults)
        started = self.clock.now()
        pending = [window for window in planned if window.at > 0]
        try:
            for window in planned:
                if window.at == 0:
                    await self._apply(window)
            async with asyncio.TaskGroup() as group:
                follower = group.create_task(self._follow(started, planned, pending))
                yield
                follower.cancel()
        except BaseExceptionGroup as failures:  # of the body or of the follower: the first reason is the one
            raise failures.exceptions[0] from None
        finally:
            for side in self.controls:
                await self._lift(side)

    async def _follow(self, started: float, planned: tuple[Window, ...], pending: list[Window]) -> None:
        events = [(window.at, 1, window) for window in pending]
        events += [(window.until, 0, window) for window in planned if window.until is not None]
        # At one instant the old faults go before the new ones come.
        for at, begins, window in sorted(events, key=lambda event: event[:2]):
            await asyncio.sleep(max(0.0, started + at - self.clock.now()))
            await (self._apply(window) if begins else self._lift(window.side))

    async def _apply(self, window: Window) -> None:
        lifetime = OPEN_END_SECONDS if window.until is None else window.until - window.at + GRACE_SECONDS
        self._maybe_on.add(window.side)
        try:
            await self.controls[window.side].inject(window.faults, lifetime)
        except ControlError as error:
            raise FaultError(f"faults cannot be applied: {error}") from error
        now = self.clock.now()
        self.records += [
            FaultRecord(
                scenario=fault.scenario,
                case=fault.case,
                target=fault.target,
                kind=fault.kind,
                rate=fault.rate,
                status=fault.status,
                seconds=fault.seconds,
                started=now,
                ended=None,
                seen=None,
                hit=None,
            )
            for fault in window.faults
        ]
        self.changed()
        self.say(f"  fault on: {', '.join(describe(fault) for fault in window.faults)}")

    async def _lift(self, side: Side) -> None:
        """Lift the faults of a side; it is tried a few times, as nothing must stay on."""
        open_ones = [number for number, record in enumerate(self.records) if record.ended is None]
        mine = [number for number in open_ones if (self.records[number].target == "store") == (side == "service")]
        if side not in self._maybe_on:
            return
        error: ControlError | None = None
        for attempt in range(LIFT_ATTEMPTS):
            try:
                final = await self.controls[side].lift()
            except ControlError as problem:
                error = problem
                await asyncio.sleep(_LIFT_PAUSE * (attempt + 1))
                continue
            self._maybe_on.discard(side)
            if not mine:
                return
            now = self.clock.now()
            counts = {(rule.provider, rule.kind): rule for rule in final.rules}
            for number in mine:
                record = self.records[number]
                rule = counts.get((record.target, record.kind))
                self.records[number] = msgspec.structs.replace(
                    record, ended=now, seen=rule.seen if rule else None, hit=rule.hit if rule else None
                )
            self.changed()
            self.say(f"  fault off: {', '.join(_counted(self.records[number]) for number in mine)}")
            return
        raise FaultError(f"faults could not be lifted and may still be on: {error}")

    async def left(self) -> list[str]:
        """Lift whatever is in force on any side, and name it: nothing must be when a scenario has ended."""
        names = []
        for side, controls in self.controls.items():
            with suppress(ControlError):  # a side that is gone has no faults
                rules = (await controls.faults()).rules
                if rules:
                    await controls.lift()
                names += [f"{rule.provider} {rule.kind} ({side})" for rule in rules]
        return names


def describe(fault: PlannedFault | FaultRecord) -> str:
    """A fault in a few words."""
    share = "" if fault.rate == 1 else f" {fault.rate * 100:g} %"
    status = "" if fault.status is None else f" {fault.status}"
    seconds = "" if fault.seconds is None else f" {fault.seconds:g} s"
    return f"{fault.target} {fault.kind}{status}{share}{seconds}"


def _counted(record: FaultRecord) -> str:
    lasted = "" if record.ended is None else f", {record.ended - record.started:.1f} s"
    counts = "" if record.seen is None else f", hit {record.hit} of {record.seen} calls"
    return f"{describe(record)}{lasted}{counts}"
