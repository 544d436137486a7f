"""What the service and its providers say of themselves: switches, breakers, counted calls, leftovers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from reelbench.loadgen.control.admin_client import ControlError, Controls, LoggedCall, ServiceState
from reelbench.loadgen.plan.fault_plan import Side
from reelbench.loadgen.record.jobs import CallRecord
from reelbench.loadgen.record.run import AuditRecord, TransitionRecord

AUDIT_DEADLINE = 15.0
"""Seconds until a service must have come to rest after a scenario: nothing runs, nothing waits for the store."""
_LOOK_AGAIN = 0.1
PROVIDERS = ("llm", "tts", "image")


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads the controls of a target; whatever it does not offer stays unknown."""

    service: Controls
    controls: Mapping[Side, Controls]
    """Those whose faults can be controlled."""

    async def switches(self) -> dict[str, bool] | None:
        """Which optimizations and protections of the service are on; None when it does not say."""
        try:
            return (await self.service.state()).switches
        except ControlError:
            return None

    async def transitions(self, scenario: str, case: str, since: float) -> list[TransitionRecord] | None:
        """The changes of all breakers since an instant, in order of time; None when they could not be read."""
        try:
            breakers = await self.service.breakers()
        except ControlError:
            return None
        found = [
            TransitionRecord(
                scenario=scenario, case=case, provider=breaker.provider, at=t.at, before=t.before, after=t.after
            )
            for breaker in breakers
            for t in breaker.transitions
            if t.at >= since
        ]
        return sorted(found, key=lambda transition: transition.at)

    async def calls(self, scenario: str, case: str, since: float) -> tuple[list[CallRecord], bool]:
        """The calls that reached the providers since an instant, as they counted them; False: one did not answer."""
        providers = self.controls.get("providers")
        if providers is None:
            return [], False
        logged: list[LoggedCall] = []
        complete = True
        for name in PROVIDERS:
            try:
                logged += await providers.calls(name, since)
            except ControlError:
                complete = False
        records = [
            CallRecord(
                scenario=scenario,
                case=case,
                provider=call.provider,
                sent=call.sent,
                arrived=call.arrived,
                outcome=call.outcome,
                connection=call.connection,
            )
            for call in logged
        ]
        return records, complete

    async def audit(self) -> AuditRecord | None:
        """The service's state once it has come to rest; None when it offers none."""
        deadline = asyncio.get_running_loop().time() + AUDIT_DEADLINE
        while True:
            state, error = await self._state()
            busy = state is not None and (state.live or state.unsaved)
            if error is not None and error.status is not None:
                if error.status < 500:  # noqa: PLR2004 - HTTP's own classes
                    return None
                busy = True  # its store is away
            if not busy or asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        if state is None:
            return AuditRecord(live=0, unsaved=0, orphans=0, missing=0, error=str(error))
        return AuditRecord(
            live=state.live, unsaved=state.unsaved, orphans=state.orphans, missing=state.missing, error=None
        )

    async def _state(self) -> tuple[ServiceState | None, ControlError | None]:
        try:
            return await self.service.state(), None
        except ControlError as error:
            return None, error
