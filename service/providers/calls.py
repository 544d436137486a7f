"""``/faults/calls``: the latest calls with the times of sending and arrival, the connection and the outcome."""

from __future__ import annotations

import math
import re
from collections import deque

import msgspec
from fastapi import Request, Response

from reelbench.service.faults.endpoint import Endpoint
from reelbench.service.faults.plan import FaultsError

KEPT = 50_000
"""Number of calls that are kept; about 9 MB."""
_SENT = re.compile(r"t=(\d{1,12}(?:\.\d{1,9})?)")


class Arrival(msgspec.Struct, gc=False):
    """One call; times are Unix seconds."""

    provider: str
    sent: float | None
    """Time of sending by the caller's clock, if the request has the header"""
    arrived: float
    outcome: str | None = None
    """outcome; None until the call is counted"""
    connection: str | None = None
    """address and port of the caller"""


class CallLog:
    """The latest `kept` calls in order of arrival."""

    def __init__(self, kept: int) -> None:
        self._calls: deque[Arrival] = deque(maxlen=kept)

    def arrived(self, provider: str, start: str | None, at: float, connection: str | None = None) -> Arrival:
        """Record a call that arrived at `at`; `start` is its header ``X-Request-Start``."""
        found = None if start is None else _SENT.fullmatch(start)
        call = Arrival(provider, float(found[1]) if found else None, at, connection=connection)
        self._calls.append(call)
        return call

    def since(self, provider: str | None, at: float) -> list[Arrival]:
        """Return the counted calls of a provider (None: of all providers) that arrived at `at` or later."""
        return [
            call
            for call in self._calls
            if call.outcome is not None and call.arrived >= at and provider in {None, call.provider}
        ]


def calls_endpoint(log: CallLog, providers: tuple[str, ...]) -> Endpoint:
    """Return the endpoint: calls filtered by ``?provider=llm&since=1700000000.5``; both parts are optional."""

    async def answer(request: Request) -> Response:
        provider = request.query_params.get("provider")
        if provider is not None and provider not in providers:
            raise FaultsError(
                f"provider must be one of {', '.join(providers)}.", param="provider", code="invalid_value"
            )
        calls = log.since(provider, _instant(request.query_params.get("since", "0")))
        return Response(msgspec.json.encode({"calls": calls}), media_type="application/json")

    return answer


def _instant(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FaultsError("since must be a time in Unix seconds.", param="since", code="invalid_value")
    return value
