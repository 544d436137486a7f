"""Error responses in the envelope of the OpenAI API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from itertools import chain

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from reelbench.service.domain.errors import NotFoundError, QueueFullError, RequestError, UnavailableError
from reelbench.service.faults.plan import FaultsError
from reelbench.service.store.connection import StoreError

_INTERNAL = "The service failed to answer this request; its log has the cause."
_ABSENT = re.compile(r"/v1/videos/(edits|extensions|characters)(/|$)")
"""Paths of the Videos API that this service does not have; they look like paths of a video."""
_STATUSES: dict[type[RequestError], int] = {NotFoundError: 404, QueueFullError: 429, UnavailableError: 503}
"""Other requests that are refused get 400."""


class ApiError(Exception):
    """An error response; the message is one sentence for the client."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after


def unknown_url(request: Request) -> ApiError:
    """Return the error for a path that does not exist."""
    return ApiError(404, "unknown_url", f"Unknown path: {request.method} {request.url.path[:200]}.")


def envelope(error: ApiError, headers: dict[str, str] | None = None) -> Response:
    """Return the response for `error`."""
    # A lone surrogate in an echoed name cannot be encoded; it is replaced.
    message = error.message.encode("utf-8", "replace").decode()
    param = error.param and error.param.encode("utf-8", "replace").decode()
    body = {"error": {"message": message, "type": _type(error.status), "param": param, "code": error.code}}
    headers = dict(headers or {})
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return Response(orjson.dumps(body), error.status, headers, media_type="application/json")


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Register one handler that turns every exception into an envelope; `routers` are those that `app` includes."""
    app.state.routers = tuple(routers)
    for kind in (ApiError, RequestError, FaultsError, StoreError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    match error:
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            return _method_not_allowed(request)
        case HTTPException():
            return envelope(_http_error(request, error), dict(error.headers or {}))
        case ApiError():
            found = error
        case RequestError():
            status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 400)
            retry_after = 1 if isinstance(error, QueueFullError | UnavailableError) else None
            found = ApiError(status, error.code, error.message, param=error.param, retry_after=retry_after)
        case FaultsError():
            found = ApiError(error.status, error.code, str(error), param=error.param)
        case StoreError():
            found = ApiError(503, "store_unavailable", str(error), retry_after=1)
        case RequestValidationError():
            first = error.errors()[0]
            param = str(first["loc"][-1])
            found = ApiError(400, "invalid_value", f"Invalid '{param}': {first['msg']}.", param=param)
        case _:
            # The log of the server has the traceback: Starlette raises the exception again after this response.
            found = ApiError(500, "internal_error", _INTERNAL)
    return envelope(found)


def _http_error(request: Request, error: HTTPException) -> ApiError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return unknown_url(request)
    return ApiError(error.status_code, "invalid_request", str(error.detail))


def _method_not_allowed(request: Request) -> Response:
    if _ABSENT.match(request.url.path):
        return envelope(unknown_url(request))
    # The exception names the methods of one route, although another one may serve the same path.
    routes = chain(request.app.routes, *(router.routes for router in request.app.state.routers))
    serving = [one for one in routes if isinstance(one, Route) and one.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in serving for method in route.methods or ()}
    if "GET" in methods:
        methods.add("HEAD")  # HeadAsGet
    allowed = ", ".join(sorted(methods))
    message = f"Method {request.method[:20]} is not allowed here; allowed: {allowed}."
    return envelope(ApiError(405, "method_not_allowed", message), {"Allow": allowed})


def _type(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return "invalid_request_error"
