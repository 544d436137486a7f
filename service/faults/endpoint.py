"""``/faults``: sets, shows and ends the fault plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from reelbench.service.faults.faults import Faults
from reelbench.service.faults.guard import Guard
from reelbench.service.faults.plan import MAX_BYTES, FaultsError, Plan, read

METHODS = ["GET", "PUT", "DELETE"]
Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(answer: Endpoint, guard: Guard, error_response: Callable[[FaultsError], Response]) -> Endpoint:
    """Return `answer` for the callers that `guard` permits.

    `answer` may raise FaultsError, of which `error_response` makes the error envelope of this API.
    """

    async def checked(request: Request) -> Response:
        try:
            if (denied := guard.check(request)) is not None:
                raise FaultsError(denied.message, code=denied.code, status=403)  # noqa: TRY301 - one handler for all
            return await answer(request)
        except FaultsError as error:
            return error_response(error)

    return checked


async def bounded_body(request: Request, limit: int) -> bytes:
    """Return the body, or a longer part of it than `limit`; a client that goes away is a refused request."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                break
    except ClientDisconnect as error:
        message = "The request ended before its body was complete."
        raise FaultsError(message, code="incomplete_body") from error
    return bytes(body)


def plan_endpoint(faults: Faults) -> Endpoint:
    """Return the endpoint: PUT and GET answer with the active plan, DELETE with the final state of the plan it ends."""

    async def answer(request: Request) -> Response:
        if request.method == "PUT":
            faults.replace(read(await bounded_body(request, MAX_BYTES), faults.offer))
        state = faults.replace(Plan()) if request.method == "DELETE" else faults.state()
        return Response(msgspec.json.encode(state), media_type="application/json")

    return answer
