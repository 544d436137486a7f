"""``/faults``: sets, shows and ends the fault plan."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable

import msgspec
from fastapi import Request, Response

from reelbench.service.faults.faults import Faults
from reelbench.service.faults.plan import FaultsError, Plan, read

METHODS = ["GET", "PUT", "DELETE"]


def on_loopback(host: str) -> bool:
    """Return whether `host` is an IP address of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class LoopbackOnly:
    """An endpoint for callers on this machine, or for any caller when `remote` is set."""

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Response]],
        *,
        remote: bool,
        setting: str,
        error_response: Callable[[FaultsError], Response],
    ) -> None:
        """Wrap `answer`.

        Args:
            answer: The endpoint; it may raise FaultsError.
            remote: Whether callers on other machines are allowed.
            setting: The environment variable of `remote`, for the error message.
            error_response: Builds the error envelope of this API.
        """
        self._answer = answer
        self._remote = remote
        self._setting = setting
        self._error_response = error_response

    async def __call__(self, request: Request) -> Response:
        """Return the response of the endpoint or an error."""
        try:
            if not self._remote and not on_loopback(request.client.host if request.client else ""):
                raise FaultsError(  # noqa: TRY301 - one handler for all errors
                    f"Only callers on this machine may use /faults; set {self._setting}=true to allow others.",
                    code="remote_caller",
                    status=403,
                )
            return await self._answer(request)
        except FaultsError as error:
            return self._error_response(error)


class Endpoint:
    """PUT and GET return the active plan, DELETE the final state of the plan that it ends."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def __call__(self, request: Request) -> Response:
        """Return the state; raises FaultsError for an invalid plan."""
        if request.method == "PUT":
            self._faults.replace(read(await request.body(), self._faults.offer))
        state = self._faults.replace(Plan()) if request.method == "DELETE" else self._faults.state()
        return Response(msgspec.json.encode(state), media_type="application/json")
