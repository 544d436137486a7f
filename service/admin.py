"""What an operator may see: only with ``SERVICE_ADMIN``, and only from this host without ``SERVICE_ADMIN_REMOTE``."""

from __future__ import annotations

from typing import cast

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from service.errors import ApiError, unknown_url
from service.loopback import on_loopback
from service.routes import Parts


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
    found = [breaker.state() for breaker in _parts(request).breakers]
    return Response(msgspec.json.encode({"object": "list", "data": found}), media_type="application/json")


@router.get("/state")
async def state(request: Request) -> Response:
    """Compare jobs, records and files; 503 while the store is away."""
    found = await _parts(request).audit.take()
    return Response(msgspec.json.encode(found), media_type="application/json")


def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)
