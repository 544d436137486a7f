"""``/faults``: sets, shows and ends the fault plan."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable

import msgspec
from fastapi import Request, Response

from reelbench.service.faults.faults import Faults
from reelbench.service.faults.plan import FaultsError, Plan, read

METHODS = ["GET", "PUT", "DELETE"]
Endpoint = Callable[[Request], Awaitable[Response]]


def on_loopback(host: str) -> bool:
    """Return whether `host` is an IP address of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def loopback_only(
    answer: Endpoint, *, remote: bool, setting: str, error_response: Callable[[FaultsError], Response]
) -> Endpoint:
    """Return `answer` for callers on this machine, or for any caller when `remote` is set.

    `answer` may raise FaultsError, of which `error_response` makes the error envelope of this API. `setting` is the
    environment variable of `remote`, for the message.
    """

    async def guarded(request: Request) -> Response:
        try:
            if not remote and not on_loopback(request.client.host if request.client else ""):
                raise FaultsError(  # noqa: TRY301 - one handler for all errors
                    f"Only callers on this machine may use /faults; set {setting}=true to allow others.",
                    code="remote_caller",
                    status=403,
                )
            return await answer(request)
        except FaultsError as error:
            return error_response(error)

    return guarded


def plan_endpoint(faults: Faults) -> Endpoint:
    """Return the endpoint: PUT and GET answer with the active plan, DELETE with the final state of the plan it ends."""

    async def answer(request: Request) -> Response:
        if request.method == "PUT":
            faults.replace(read(await request.body(), faults.offer))
        state = faults.replace(Plan()) if request.method == "DELETE" else faults.state()
        return Response(msgspec.json.encode(state), media_type="application/json")

    return answer
