"""The API key that requests need when one is set."""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from reelbench.service.api.errors import ApiError, envelope

_OPEN = frozenset({"/health", "/ready"})
"""Paths of probes, which have no key."""
_SCHEME = "bearer"


class ApiKey:
    """ASGI middleware: 401 for requests without ``Authorization: Bearer`` and the key, before their body is read."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it has the key."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == _SCHEME and secrets.compare_digest(given.strip().encode(), self._key):
            await self._app(scope, receive, send)
            return
        if given:
            error = ApiError(401, "invalid_api_key", "The API key of this request is wrong.")
        else:
            message = "This request has no API key; send the header 'Authorization: Bearer KEY'."
            error = ApiError(401, "missing_api_key", message)
        await envelope(error, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
