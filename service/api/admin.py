"""What an operator may see: only with ``SERVICE_ADMIN``, and only from this host without ``SERVICE_ADMIN_REMOTE``."""

from __future__ import annotations

from typing import cast

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from reelbench.service.api.errors import ApiError, unknown_url
from reelbench.service.api.loopback import on_loopback
from reelbench.service.api.routes import Parts
from reelbench.service.toggles import SwitchesError, read


def _allowed(request: Request) -> None:
    settings = _parts(request).settings
    if not settings.admin:
        raise unknown_url(request)
    if not settings.admin_remote and not on_loopback(request.client.host if request.client else ""):
        raise ApiError(403, "loopback_only", "The admin endpoints answer callers on this host only.")


router = APIRouter(prefix="/v1/admin", dependencies=[Depends(_allowed)], include_in_schema=False)


@router.get("/breakers")
async def breakers(request: Request) -> Response:
    """Show the circuit breakers with their latest transitions; none when they are switched off."""
    found = [guard.breaker.state() for guard in _parts(request).guards if guard.breaker]
    return Response(msgspec.json.encode({"object": "list", "data": found}), media_type="application/json")


@router.get("/state")
async def state(request: Request) -> Response:
    """Compare jobs, records and files; 503 while the store is away."""
    found = await _parts(request).audit.take()
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get("/switches")
async def switches(request: Request) -> Response:
    """Show which optimizations and protections are on."""
    return _switches(request)


@router.put("/switches")
async def switch(request: Request) -> Response:
    """Turn some on or off, for the calls and jobs that begin from now on."""
    try:
        change = read(await request.body())
    except SwitchesError as error:
        raise ApiError(400, error.code, str(error), param=error.param) from error
    _parts(request).switches.change(change)
    return _switches(request)


@router.delete("/switches")
async def restore(request: Request) -> Response:
    """Set all as the settings say."""
    parts = _parts(request)
    parts.switches.change(parts.settings.switches().values())
    return _switches(request)


def _switches(request: Request) -> Response:
    content = {"object": "switches", "switches": _parts(request).switches.values()}
    return Response(msgspec.json.encode(content), media_type="application/json")


def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)
