"""Injected faults of the store: outage, stall, error, latency."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reelbench.service.faults.faults import ActivePlan, Fault, Faults
from reelbench.service.faults.plan import KINDS, Offer

OFFER = Offer(
    ("store",),
    {"outage": KINDS["outage"], "stall": KINDS["stall"], "error": {"rate": 1.0}, "latency": KINDS["latency"]},
)
"""Targets and kinds of a fault plan of the service."""
_Result = TypeVar("_Result")


class StoreFaults:
    """Makes round trips fail as the active plan says; a failed round trip does not reach the store."""

    def __init__(self, faults: Faults, timeout: float) -> None:
        """Inject `faults`; waits end after `timeout` seconds, as those of the client do."""
        self._faults = faults
        self._timeout = timeout

    async def pass_through(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """Make the round trip `call`, or raise RedisError as the client would."""
        plan = self._faults.arrived("store")
        fault = plan.draw("store", OFFER.kinds)
        if fault is not None:
            await self._strike(fault, plan)
        return await call()

    async def _strike(self, fault: Fault, plan: ActivePlan) -> None:
        seconds = fault.rule.seconds or 0
        match fault.rule.kind:
            case "outage":
                raise RedisConnectionError("Injected fault: the store is down.")
            case "error":
                raise RedisError("Injected fault: the store failed.")
            case "latency":
                await asyncio.sleep(min(seconds, self._timeout))
                over = seconds >= self._timeout
            case _:
                over = await self._stall(min(seconds, plan.left()), plan)
        if over:
            raise RedisTimeoutError("Injected fault: the store took too long.")

    async def _stall(self, seconds: float, plan: ActivePlan) -> bool:
        """Wait for the end of the stall; True when the timeout of the client came first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self._timeout)):
                await plan.lifted.wait()
        return seconds >= self._timeout and not plan.lifted.is_set()
