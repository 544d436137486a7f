"""The endpoints by which a run controls and inspects the service under test beside its API: faults and administration.

All are extensions that a target need not have; they answer callers on the same machine only, unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from reelbench.loadgen.plan.fault_plan import PlannedFault

TIMEOUT_SECONDS = 5.0
OK = 200

T = TypeVar("T")


class ControlError(Exception):
    """A control that did not answer as it must; the message is one line."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None when no answer came."""


class Rule(msgspec.Struct, frozen=True):
    """A rule of the fault plan in force, with what became of the calls that it saw."""

    provider: str
    kind: str
    seen: int
    hit: int


class FaultState(msgspec.Struct, frozen=True):
    """The answer of ``/faults``."""

    rules: tuple[Rule, ...]


class LoggedCall(msgspec.Struct, frozen=True):
    """A call, as its provider counted it; instants are Unix seconds."""

    provider: str
    sent: float | None
    arrived: float
    outcome: str
    connection: str | None = None


class CallLog(msgspec.Struct, frozen=True):
    """The answer of ``/faults/calls``, in order of arrival."""

    calls: tuple[LoggedCall, ...]


class Transition(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """A change of a circuit breaker's state."""

    at: float
    before: str
    after: str


class BreakerState(msgspec.Struct, frozen=True):
    """One circuit breaker of the service."""

    provider: str
    transitions: tuple[Transition, ...]


class Breakers(msgspec.Struct, frozen=True):
    """The answer of ``/v1/admin/breakers``."""

    data: tuple[BreakerState, ...]


class ServiceState(msgspec.Struct, frozen=True):
    """The answer of ``/v1/admin/state``."""

    live: int
    unsaved: int
    orphans: int
    missing: int
    switches: dict[str, bool]


class SwitchState(msgspec.Struct, frozen=True):
    """The answer of ``/v1/admin/switches``."""

    switches: dict[str, bool]


class Controls:
    """A client for the controls at one base URL; use as an asynchronous context manager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def faults(self) -> FaultState:
        """The fault plan in force; raises ControlError, as all methods do."""
        return await self._ask(FaultState, "GET", "/faults")

    async def inject(self, faults: tuple[PlannedFault, ...], lifetime: float) -> None:
        """Put faults in force, in place of any others; they lift themselves after `lifetime` seconds."""
        rules = [
            {"provider": fault.target, "kind": fault.kind, "rate": fault.rate}
            | ({} if fault.status is None else {"status": fault.status})
            | ({} if fault.seconds is None else {"seconds": fault.seconds})
            for fault in faults
        ]
        await self._ask(
            FaultState, "PUT", "/faults", json={"seed": faults[0].seed, "lifetime": lifetime, "rules": rules}
        )

    async def lift(self) -> FaultState:
        """Lift all faults; gives the final counts of those that were in force."""
        return await self._ask(FaultState, "DELETE", "/faults")

    async def calls(self, provider: str, since: float) -> tuple[LoggedCall, ...]:
        """The calls that reached a provider at or after `since` (Unix seconds)."""
        parameters = {"provider": provider, "since": f"{since:.6f}"}
        return (await self._ask(CallLog, "GET", "/faults/calls", params=parameters)).calls

    async def breakers(self) -> tuple[BreakerState, ...]:
        """The service's circuit breakers; none when they are switched off."""
        return (await self._ask(Breakers, "GET", "/v1/admin/breakers")).data

    async def state(self) -> ServiceState:
        """The service's own state."""
        return await self._ask(ServiceState, "GET", "/v1/admin/state")

    async def switches(self) -> dict[str, bool]:
        """What is switched on in the service."""
        return (await self._ask(SwitchState, "GET", "/v1/admin/switches")).switches

    async def switch(self, switches: Mapping[str, bool]) -> dict[str, bool]:
        """Change some switches of the service; gives all of them."""
        return (await self._ask(SwitchState, "PUT", "/v1/admin/switches", json=dict(switches))).switches

    async def _ask(self, kind: type[T], method: str, path: str, **options: Any) -> T:
        assert self._session is not None, "use Controls as a context manager"
        place = f"{method} {self.url}{path}"
        try:
            async with self._session.request(method, self.url + path, allow_redirects=False, **options) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ControlError(f"{place}: {type(error).__name__}") from error
        if response.status != OK:
            raise ControlError(f"{place} answered {response.status} {_message(body)}".rstrip(), response.status)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ControlError(f"{place} answered something else: {error}", response.status) from error


class _Envelope(msgspec.Struct):
    error: dict[str, Any]


def _message(body: bytes) -> str:
    try:
        text = str(msgspec.json.decode(body, type=_Envelope).error.get("message", ""))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return f"({' '.join(text.split())[:150]})"
