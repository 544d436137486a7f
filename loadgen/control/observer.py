"""Observations of the service and its providers: toggles, breakers, counted calls, leftovers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from msgspec.structs import asdict

from reelbench.loadgen.control.admin_client import AdminClient, AdminError, LoggedCall, ServiceState
from reelbench.loadgen.control.clock_sources import PROVIDERS as PROVIDERS_CLOCK
from reelbench.loadgen.control.clock_sources import SERVICE
from reelbench.loadgen.plan.fault_plan import Side
from reelbench.loadgen.record.jobs import CallRecord
from reelbench.loadgen.record.run import AuditRecord, TransitionRecord

AUDIT_DEADLINE = 15.0
"""Seconds after a scenario in which the service must become quiet: no job runs, no state waits for the store."""
_LOOK_AGAIN = 0.1
PROVIDERS = ("llm", "tts", "image")


def _exact(_source: str) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads the admin endpoints of a target; observations that the target does not offer are None."""

    service: AdminClient
    admin: Mapping[Side, AdminClient]
    """Sides whose faults can be controlled."""
    ahead: Callable[[str], float] = _exact
    """Returns the seconds by which the clock of a source is ahead; all times that are returned are without them."""

    def with_clocks(self, ahead: Callable[[str], float]) -> Observer:
        """Return an observer that converts times to the clock of the load generator."""
        return replace(self, ahead=ahead)

    async def toggles(self) -> dict[str, bool] | None:
        """Return the toggles of the service; None: not reported."""
        try:
            return (await self.service.state()).toggles
        except AdminError:
            return None

    async def transitions(self, scenario: str, case: str, since: float) -> list[TransitionRecord] | None:
        """Return the state changes of all breakers since an instant, in order of time; None: not readable."""
        try:
            breakers = await self.service.breakers()
        except AdminError:
            return None
        ahead = self.ahead(SERVICE)
        found = [
            TransitionRecord(
                scenario=scenario,
                case=case,
                provider=breaker.provider,
                at=transition.at - ahead,
                before=transition.before,
                after=transition.after,
            )
            for breaker in breakers
            for transition in breaker.transitions
            if transition.at - ahead >= since
        ]
        return sorted(found, key=lambda transition: transition.at)

    async def calls(self, scenario: str, case: str, since: float) -> tuple[list[CallRecord], bool]:
        """Return the calls that providers counted since an instant, and whether all providers answered."""
        providers = self.admin.get("providers")
        if providers is None:
            return [], False
        sent, arrived = self.ahead(SERVICE), self.ahead(PROVIDERS_CLOCK)
        logged: list[LoggedCall] = []
        complete = True
        for name in PROVIDERS:
            try:
                logged += await providers.calls(name, since + arrived)
            except AdminError:
                complete = False
        return [_of_case(call, scenario, case, sent=sent, arrived=arrived) for call in logged], complete

    async def audit(self) -> AuditRecord | None:
        """Return the state of the service once it is quiet; None: not offered."""
        deadline = asyncio.get_running_loop().time() + AUDIT_DEADLINE
        while True:
            state, error = await self._state()
            busy = state is not None and (state.live or state.unsaved)
            if error is not None and error.status is not None:
                if error.status < 500:  # noqa: PLR2004 - HTTP's own classes
                    return None
                busy = True  # the store of the service does not answer
            if not busy or asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        if state is None:
            return AuditRecord(live=0, unsaved=0, orphans=0, missing=0, error=str(error))
        return AuditRecord(
            live=state.live, unsaved=state.unsaved, orphans=state.orphans, missing=state.missing, error=None
        )

    async def _state(self) -> tuple[ServiceState | None, AdminError | None]:
        try:
            return await self.service.state(), None
        except AdminError as error:
            return None, error


def _of_case(call: LoggedCall, scenario: str, case: str, *, sent: float, arrived: float) -> CallRecord:
    """Return a call of a case, with its times less the offsets of the clocks of its caller and of its provider."""
    times = {"sent": None if call.sent is None else call.sent - sent, "arrived": call.arrived - arrived}
    return CallRecord(scenario=scenario, case=case, **(asdict(call) | times))
