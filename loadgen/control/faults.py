"""Faults of a case, applied while its jobs run and always lifted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.side import Applied, FaultSide, SideError
from reelbench.loadgen.plan.fault_plan import PlannedFault, Side, Window, side_of, windows
from reelbench.loadgen.record.run import FaultRecord

GRACE_SECONDS = 60.0
"""Time after its planned end at which a fault lifts itself if this process was killed."""
OPEN_END_SECONDS = 1800.0
"""Lifetime of a fault that lasts as long as its case."""
LIFT_ATTEMPTS = 3
_LIFT_PAUSE = 0.2


class FaultError(Exception):
    """Faults that cannot be applied or lifted; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Injector:
    """Applies planned faults at their times, and records each."""

    sides: Mapping[Side, FaultSide]
    clock: Clock
    say: Callable[[str], None]
    """Shows a line to the user."""
    changed: Callable[[Sequence[FaultRecord]], None]
    """Receives `records` at every change."""
    _records: list[FaultRecord] = field(default_factory=list)
    _maybe_on: set[Side] = field(default_factory=set)
    """Sides that may inject faults: the answer to a request to inject or lift may have been lost."""

    @property
    def records(self) -> tuple[FaultRecord, ...]:
        """Records of all faults so far, in order of their start; a fault in force has no end."""
        return tuple(self._records)

    @asynccontextmanager
    async def during(self, faults: tuple[PlannedFault, ...], origin: float | None = None) -> AsyncIterator[None]:
        """Apply faults at their times, and lift those in force at the end, also after an error.

        Args:
            faults: those of a case.
            origin: instant from which their times count; None: now. Faults of time 0 are applied at once.

        Raises:
            FaultError: a fault could not be applied or lifted.
        """
        planned = windows(faults)
        started = self.clock.now() if origin is None else origin
        pending = [window for window in planned if window.at > 0]
        try:
            for window in planned:
                if window.at == 0:
                    await self._apply(window)
            async with asyncio.TaskGroup() as group:
                follower = group.create_task(self._follow(started, planned, pending))
                yield
                follower.cancel()
        except BaseExceptionGroup as failures:  # of the body or the follower: the first failure is the cause
            raise failures.exceptions[0] from None
        finally:
            await self._lift_all()

    async def _follow(self, started: float, planned: tuple[Window, ...], pending: list[Window]) -> None:
        events = [(window.at, 1, window) for window in pending]
        events += [(window.until, 0, window) for window in planned if window.until is not None]
        # At the same instant, old faults are lifted before new ones are applied.
        for at, begins, window in sorted(events, key=lambda event: event[:2]):
            await asyncio.sleep(max(0.0, started + at - self.clock.now()))
            await (self._apply(window) if begins else self._lift(window.side))

    async def _apply(self, window: Window) -> None:
        lifetime = OPEN_END_SECONDS if window.until is None else window.until - window.at + GRACE_SECONDS
        self._maybe_on.add(window.side)
        asked = self.clock.now()
        try:
            applied = await self.sides[window.side].inject(window.faults, lifetime)
        except SideError as error:
            raise FaultError(f"faults cannot be applied: {error}") from error
        now = self.clock.now()
        if applied.ended:
            self._maybe_on.discard(window.side)
        self._records.extend(_record(fault, asked, now, applied) for fault in window.faults)
        self.changed(self.records)
        if applied.error is not None:
            self.say(f"warning: no fault: {applied.error}")
        else:
            self.say(
                f"  fault {'done' if applied.ended else 'on'}: {', '.join(describe(fault) for fault in window.faults)}"
            )

    async def _lift_all(self) -> None:
        """Lift the faults of every side; one that fails must not keep the others in force."""
        failed: list[FaultError] = []
        for side in self.sides:
            try:
                await self._lift(side)
            except FaultError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    async def _lift(self, side: Side) -> None:
        """Lift the faults of a side, with some attempts, so none stays in force."""
        mine = [
            number
            for number, record in enumerate(self._records)
            if record.ended is None and side_of(record.target) == side
        ]
        if side not in self._maybe_on:
            return
        asked = self.clock.now()
        error: SideError | None = None
        for attempt in range(LIFT_ATTEMPTS):
            try:
                final = await self.sides[side].lift()
            except SideError as problem:
                error = problem
                await asyncio.sleep(_LIFT_PAUSE * (attempt + 1))
                continue
            self._maybe_on.discard(side)
            if not mine:
                return
            now = self.clock.now()
            counts = {(rule.provider, rule.kind): rule for rule in final.rules}
            for number in mine:
                record = self._records[number]
                rule = counts.get((record.target, record.kind))
                self._records[number] = msgspec.structs.replace(
                    record,
                    asked_to_end=asked,
                    ended=now,
                    seen=rule.seen if rule else None,
                    hit=rule.hit if rule else None,
                )
            self.changed(self.records)
            self.say(f"  fault off: {', '.join(_counted(self._records[number]) for number in mine)}")
            return
        raise FaultError(f"faults could not be lifted and may still be on: {error}")

    async def lift_rest(self) -> list[str]:
        """Lift the faults still in force on any side; return their names."""
        names = []
        for side, client in self.sides.items():
            with suppress(SideError):  # a side that does not answer has no faults
                rules = (await client.faults()).rules
                if rules:
                    await client.lift()
                names += [f"{rule.provider} {rule.kind} ({side})" for rule in rules]
        return names


def _record(fault: PlannedFault, asked: float, now: float, applied: Applied) -> FaultRecord:
    command = fault.command
    return FaultRecord(
        scenario=fault.scenario,
        case=fault.case,
        target=fault.target,
        kind=fault.kind,
        rate=fault.rate,
        status=fault.status,
        seconds=fault.seconds,
        started=now,
        ended=now if applied.ended else None,
        seen=None,
        hit=None,
        asked=asked,
        command=list(command.start) if command is not None else [],
        stop=list(command.stop or ()) if command is not None else [],
        output=applied.output,
        error=applied.error,
        jitter=fault.jitter,
        kilobytes_per_second=fault.kilobytes_per_second,
        direction=fault.direction,
    )


def describe(fault: PlannedFault | FaultRecord) -> str:
    """Return a fault as text, such as ``tts error 503 30 %``."""
    share = "" if fault.rate == 1 else f" {fault.rate * 100:g} %"
    status = "" if fault.status is None else f" {fault.status}"
    seconds = "" if fault.seconds is None else f" {fault.seconds:g} s"
    speed = "" if fault.kilobytes_per_second is None else f" {fault.kilobytes_per_second:g} kB/s"
    return f"{fault.target} {fault.kind}{status}{share}{seconds}{speed}"


def _counted(record: FaultRecord) -> str:
    lasted = "" if record.ended is None else f", {record.ended - record.started:.1f} s"
    counts = "" if record.seen is None else f", hit {record.hit} of {record.seen} calls"
    return f"{describe(record)}{lasted}{counts}"
