"""What every request to a fake passes: the other host, the key, refusals in the server's shape, and the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from tests.fakes.clip import HTML
from tests.fakes.creation import RefusedError
from tests.fakes.manner import Manner
from tests.fakes.shapes import Body, Shapes
from tests.fakes.truth import Seen, Truth

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN_PATHS: Final = ("/truth", "/metrics", "/health")
"""Starts of paths that need no key and are not part of the API."""


class Guard:
    """Middleware of one fake."""

    def __init__(self, manner: Manner, truth: Truth, shapes: Shapes, key: str) -> None:
        self._manner = manner
        self._truth = truth
        self._shapes = shapes
        self._key = key
        self.elsewhere = ""
        """URL of the other host."""

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request and write it down."""
        try:
            response = await self._answer(request, handler)
        except RefusedError as refusal:
            response = self._refusal(refusal)
        if request.path != "/truth":
            self._truth.requests.append(
                Seen(
                    at=self._truth.clock.now(),
                    host=request.host,
                    method=request.method,
                    path=self._template(request),
                    status=response.status,
                    bytes=int(response.headers.get("Content-Length", response.content_length or 0)),
                    authorization=request.headers.get("Authorization", ""),
                    headers={name: value for name, value in request.headers.items() if name != "Authorization"},
                )
            )
        return response

    def _template(self, request: web.Request) -> str:
        """Return the path with `{id}` in place of the identifier of a job."""
        resource = request.match_info.route.resource
        if resource is not None:
            return resource.canonical
        known = {job.id for job in self._truth.jobs}
        return "/".join("{id}" if part in known else part for part in request.path.split("/"))

    def unknown(self, request: web.Request) -> web.Response:
        """Answer a request for a path that the server does not have."""
        match self._manner.unknown:
            case "html_200":
                return web.Response(body=HTML, content_type="text/html")
            case "forbidden_403":
                raise RefusedError(403, "Forbidden", "forbidden")
            case "json_404" | "detail_404":
                message = f"Invalid URL ({request.method} {request.path})"
                raise RefusedError(404, message, "unknown_url", routing=True)

    def absent(self) -> RefusedError:
        """Return the refusal of an operation that the server does not have."""
        status = self._manner.absent_status
        return RefusedError(status, HTTPStatus(status).phrase, "not_found", routing=True)

    def throttle(self, message: str) -> None:
        """Refuse with 429."""
        manner = self._manner
        headers = {manner.retry_after_header: manner.retry_after} if manner.retry_after else {}
        raise RefusedError(429, message, "rate_limit_exceeded", headers)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        at_other_host = request.get_extra_info("sockname")[1] == urlsplit(self.elsewhere).port
        if at_other_host and request.path.startswith("/files/"):
            return await handler(request)
        if not request.path.startswith(OPEN_PATHS):
            if self._manner.moved and not at_other_host:
                return web.Response(status=308, headers={"Location": self.elsewhere + request.path_qs})
            self._check_key(request)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return self.unknown(request)
        except web.HTTPMethodNotAllowed as error:
            raise self.absent() from error

    def _check_key(self, request: web.Request) -> None:
        if not self._manner.key:
            return
        given = request.headers.get("Authorization", "")
        if not given:
            raise RefusedError(401, "no API key was given", "invalid_api_key", {"WWW-Authenticate": "Bearer"})
        if given != f"Bearer {self._key}":
            raise RefusedError(self._manner.wrong_key_status, "the API key is not valid", "invalid_api_key")

    def _refusal(self, refusal: RefusedError) -> web.Response:
        if refusal.routing and self._manner.unknown == "detail_404":
            body: Body = {"detail": HTTPStatus(refusal.status).phrase}
        else:
            body = self._shapes.error(refusal.status, refusal.message, refusal.code)
        return web.json_response(body, status=refusal.status, headers=refusal.headers)
