"""Endpoints for operators: only with ``SERVICE_ADMIN``, and only for the callers that the guard permits."""

from __future__ import annotations

import time

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from reelbench.service.api.app_state import app_state
from reelbench.service.api.errors import ApiError
from reelbench.service.faults.endpoint import bounded_body
from reelbench.service.faults.guard import Guard
from reelbench.service.settings import MAX_CHANGE, read_toggles


def _permitted(request: Request) -> None:
    guard: Guard = request.app.state.admin_guard
    if (denied := guard.check(request)) is not None:
        raise ApiError(403, denied.code, denied.message)


router = APIRouter(prefix="/v1/admin", dependencies=[Depends(_permitted)], include_in_schema=False)


@router.get("/breakers")
async def breakers(request: Request) -> Response:
    """Show the circuit breakers that are on, with their latest transitions."""
    found = [resilience.breaker.state() for resilience in app_state(request).resilience if resilience.breaker]
    return Response(msgspec.json.encode({"object": "list", "data": found}), media_type="application/json")


@router.get("/settings")
async def settings(request: Request) -> Response:
    """Show what this process runs with: effective settings, environment, versions and its time; no secrets."""
    found = app_state(request).settings.running(time.time())
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get("/state")
async def state(request: Request) -> Response:
    """Compare jobs, records and files; 503 while the store is away."""
    found = await app_state(request).audit.take()
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get("/switches")
async def toggles(request: Request) -> Response:
    """Show which optimizations and protections are on."""
    return _toggles(request)


@router.put("/switches")
async def change(request: Request) -> Response:
    """Turn some on or off, for the calls and jobs that begin after the change."""
    app_state(request).toggles.change(read_toggles(await bounded_body(request, MAX_CHANGE)))
    return _toggles(request)


@router.delete("/switches")
async def restore(request: Request) -> Response:
    """Reset all to the settings."""
    state = app_state(request)
    state.toggles.change(state.settings.toggles().values())
    return _toggles(request)


def _toggles(request: Request) -> Response:
    content = {"object": "switches", "switches": app_state(request).toggles.values()}
    return Response(msgspec.json.encode(content), media_type="application/json")
