"""Faults of the store, injected between the store and its client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reelbench.service.faults.faults import Fault, Faults, InForce
from reelbench.service.faults.plan import KINDS, Offer

OFFER = Offer(
    ("store",),
    {"outage": KINDS["outage"], "stall": KINDS["stall"], "error": {"rate": 1.0}, "latency": KINDS["latency"]},
)
"""What a fault plan of the service may name."""
_Result = TypeVar("_Result")


class StoreFaults:
    """Makes round trips fail as the plan in force says; one that fails does not reach the store."""

    def __init__(self, faults: Faults, timeout: float) -> None:
        """Inject `faults`; no wait is longer than the client's `timeout`, in seconds."""
        self._faults = faults
        self._timeout = timeout

    async def pass_through(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """Make the round trip `call`, or raise RedisError as its client would."""
        plan = self._faults.arrived("store")
        fault = plan.draw("store", OFFER.kinds)
        if fault is not None:
            await self._strike(fault, plan)
        return await call()

    async def _strike(self, fault: Fault, plan: InForce) -> None:
        seconds = fault.rule.seconds or 0
        match fault.rule.kind:
            case "outage":
                raise RedisConnectionError("The store is down, as the fault plan says.")
            case "error":
                raise RedisError("The store failed, as the fault plan says.")
            case "latency":
                await asyncio.sleep(min(seconds, self._timeout))
                over = seconds >= self._timeout
            case _:
                over = await self._stall(min(seconds, plan.left()), plan)
        if over:
            raise RedisTimeoutError("The store took too long, as the fault plan says.")

    async def _stall(self, seconds: float, plan: InForce) -> bool:
        """Wait until the stall is over; True when the client's patience ended before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self._timeout)):
                await plan.lifted.wait()
        return seconds >= self._timeout and not plan.lifted.is_set()
