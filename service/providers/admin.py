"""``/faults``: sets, shows and lifts the fault plan."""

from __future__ import annotations

import ipaddress

import msgspec
from fastapi import Request, Response

from service.providers.errors import Refusal, refused
from service.providers.faults import Faults, State
from service.providers.plan import Plan, read

METHODS = ["GET", "PUT", "DELETE"]


class Admin:
    """The endpoint: PUT and GET answer with the plan in force, DELETE with the final state of the one it lifted."""

    def __init__(self, faults: Faults, *, remote: bool) -> None:
        self._faults = faults
        self._remote = remote

    async def __call__(self, request: Request) -> Response:
        """Answer a caller on this machine; any caller when remote ones are allowed."""
        try:
            if not self._remote and not on_loopback(request.client.host if request.client else ""):
                raise Refusal(  # noqa: TRY301 - all refusals leave in one place
                    "Only callers on this machine may use /faults; set PROVIDERS_FAULTS_REMOTE=true to allow others.",
                    code="remote_caller",
                    status=403,
                )
            if request.method == "PUT":
                self._faults.replace(read(await request.body()))
            state = self._faults.replace(Plan()) if request.method == "DELETE" else self._faults.state()
        except Refusal as refusal:
            return refused(refusal)
        return _answer(state)


def on_loopback(host: str) -> bool:
    """Return whether a peer address belongs to this machine; anything but an IP address does not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _answer(state: State) -> Response:
    return Response(msgspec.json.encode(state), media_type="application/json")
