"""``/faults``: sets, shows and lifts the fault plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import Request, Response

from reelbench.service.api.loopback import on_loopback
from reelbench.service.faults.errors import FaultsError
from reelbench.service.faults.faults import Faults
from reelbench.service.faults.plan import Plan, read

METHODS = ["GET", "PUT", "DELETE"]


class Guarded:
    """An endpoint for callers on this machine; for any caller when remote ones are allowed."""

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Response]],
        *,
        remote: bool,
        setting: str,
        refused: Callable[[FaultsError], Response],
    ) -> None:
        """Guard `answer`.

        Args:
            answer: What is guarded; it may raise FaultsError.
            remote: Whether callers on other machines are answered.
            setting: The environment variable that says so, for the one who is refused.
            refused: Puts a refusal into the error envelope of this API.
        """
        self._answer = answer
        self._remote = remote
        self._setting = setting
        self._refused = refused

    async def __call__(self, request: Request) -> Response:
        """Answer, or refuse."""
        try:
            if not self._remote and not on_loopback(request.client.host if request.client else ""):
                raise FaultsError(  # noqa: TRY301 - all refusals leave in one place
                    f"Only callers on this machine may use /faults; set {self._setting}=true to allow others.",
                    code="remote_caller",
                    status=403,
                )
            return await self._answer(request)
        except FaultsError as error:
            return self._refused(error)


class Endpoint:
    """PUT and GET answer with the plan in force, DELETE with the final state of the one it lifted."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def __call__(self, request: Request) -> Response:
        """Answer; raises FaultsError for a plan that is none."""
        if request.method == "PUT":
            self._faults.replace(read(await request.body(), self._faults.offer))
        state = self._faults.replace(Plan()) if request.method == "DELETE" else self._faults.state()
        return Response(msgspec.json.encode(state), media_type="application/json")
