"""Client of the endpoints that control and inspect the service under test: faults and administration.

These endpoints are extensions of the API that a target need not have; by default they answer loopback callers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal, Self, TypeVar

import aiohttp
import msgspec

from reelbench.loadgen.control.side import Applied, FaultState, SideError
from reelbench.loadgen.http.aiohttp import open_session
from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials
from reelbench.loadgen.plan.fault_plan import PlannedFault
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.control_token import HEADER
from reelbench.loadgen.target.api import ErrorEnvelope
from reelbench.telemetry.running import Running

TIMEOUT_SECONDS = 5.0
_TIMEOUT = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
CONNECTIONS = 100
MAX_ANSWER = 64 * 1024 * 1024
"""Largest answer in bytes: logs of provider calls are long."""

T = TypeVar("T")


class AdminError(SideError):
    """No valid answer from an admin endpoint; the message is one line."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None: no answer."""


class NewRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fault rule to put in force."""

    provider: str
    kind: str
    rate: float
    status: int | None = None
    seconds: float | None = None


class NewFaults(msgspec.Struct, frozen=True):
    """Body of ``PUT /faults``."""

    seed: int
    lifetime: float
    """Seconds after which the faults lift themselves."""
    rules: tuple[NewRule, ...]


class LoggedCall(msgspec.Struct, frozen=True):
    """A call as its provider counted it; times are Unix seconds."""

    provider: str
    sent: float | None
    arrived: float
    outcome: str
    connection: str | None = None


class CallLog(msgspec.Struct, frozen=True):
    """Answer of ``/faults/calls``, in order of arrival."""

    calls: tuple[LoggedCall, ...]


class Transition(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """A state change of a circuit breaker."""

    at: float
    before: str
    after: str


class BreakerState(msgspec.Struct, frozen=True):
    """One circuit breaker of the service."""

    provider: str
    transitions: tuple[Transition, ...]


class Breakers(msgspec.Struct, frozen=True):
    """Answer of ``/v1/admin/breakers``."""

    data: tuple[BreakerState, ...]


class ServiceState(msgspec.Struct, frozen=True, rename={"toggles": "switches"}):
    """Answer of ``/v1/admin/state``."""

    live: int
    unsaved: int
    orphans: int
    missing: int
    toggles: dict[str, bool]


class ToggleState(msgspec.Struct, frozen=True, rename={"toggles": "switches"}):
    """Answer of ``/v1/admin/switches``."""

    toggles: dict[str, bool]


class AdminClient:
    """A client for the admin endpoints at one base URL; use as an asynchronous context manager.

    All methods raise AdminError. `token` is the control token of the service.
    """

    def __init__(self, url: str, credentials: Credentials = NO_CREDENTIALS, *, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = open_session(self.url, self._credentials, CONNECTIONS)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def faults(self) -> FaultState:
        """Return the faults in force."""
        return await self._ask(FaultState, "GET", "/faults")

    async def inject(self, faults: Sequence[PlannedFault], lifetime: float) -> Applied:
        """Replace the faults in force; the new ones lift themselves after `lifetime` seconds."""
        rules = tuple(NewRule(fault.target, fault.kind, fault.rate, fault.status, fault.seconds) for fault in faults)
        await self._ask(FaultState, "PUT", "/faults", body=NewFaults(faults[0].seed, lifetime, rules))
        return Applied()

    async def lift(self) -> FaultState:
        """Lift all faults; return the final counts of those that were in force."""
        return await self._ask(FaultState, "DELETE", "/faults")

    async def calls(self, provider: str, since: float) -> tuple[LoggedCall, ...]:
        """Return the calls that reached a provider at or after `since` (Unix seconds)."""
        query = {"provider": provider, "since": f"{since:.6f}"}
        return (await self._ask(CallLog, "GET", "/faults/calls", query=query)).calls

    async def breakers(self) -> tuple[BreakerState, ...]:
        """Return the circuit breakers of the service; empty when breakers are toggled off."""
        return (await self._ask(Breakers, "GET", "/v1/admin/breakers")).data

    async def state(self) -> ServiceState:
        """Return the internal state of the service."""
        return await self._ask(ServiceState, "GET", "/v1/admin/state")

    async def toggles(self) -> dict[str, bool]:
        """Return all toggles of the service."""
        return (await self._ask(ToggleState, "GET", "/v1/admin/switches")).toggles

    async def set_toggles(self, toggles: Mapping[str, bool]) -> dict[str, bool]:
        """Change some toggles of the service; return all of them."""
        return (await self._ask(ToggleState, "PUT", "/v1/admin/switches", body=dict(toggles))).toggles

    async def date(self) -> float | None:
        """Return the header Date of an answer of any status, in Unix seconds; None: the server sends none."""
        assert self._session is not None, "use AdminClient as a context manager"
        try:
            async with self._session.get(self.url + "/health", allow_redirects=False, timeout=_TIMEOUT) as response:
                return parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return None
        except (aiohttp.ClientError, OSError) as error:
            raise AdminError(f"GET {shown_url(self.url)}/health: {type(error).__name__}") from error

    async def running(self, path: str) -> Running:
        """Return what the process at this URL runs with, from the endpoint at `path`."""
        return await self._ask(Running, "GET", path)

    async def _ask(
        self,
        kind: type[T],
        method: Literal["GET", "PUT", "DELETE"],
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: NewFaults | dict[str, bool] | None = None,
    ) -> T:
        assert self._session is not None, "use AdminClient as a context manager"
        place = f"{method} {shown_url(self.url)}{path}"
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if data is not None else {}
        if self._token:
            headers[HEADER] = self._token
        try:
            async with self._session.request(
                method,
                self.url + path,
                params=query,
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as response:
                answer = await _body(response, place)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise AdminError(f"{place}: {type(error).__name__}") from error
        if response.status != HTTPStatus.OK:
            raise AdminError(f"{place} answered {response.status} {_message(answer)}".rstrip(), response.status)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise AdminError(f"{place} gave an unexpected answer: {error}", response.status) from error


async def _body(response: aiohttp.ClientResponse, place: str) -> bytes:
    """Return the body of an answer, which may come from a server of any kind."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise AdminError(f"{place} gave an answer of more than {MAX_ANSWER} bytes", response.status)
    return bytes(body)


def _message(answer: bytes) -> str:
    try:
        text = msgspec.json.decode(answer, type=ErrorEnvelope).error.message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return f"({' '.join(text.split())[:150]})"
