"""Round trips to the job store, and their injected faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reelbench.service.domain.correlation import Correlations
from reelbench.service.faults.faults import ActivePlan, Fault, Faults
from reelbench.service.faults.plan import KINDS, Offer
from reelbench.service.metrics import Metrics

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


class StoreError(Exception):
    """The store failed, or did not answer in time."""


class Connection:
    """Measures every round trip and injects faults; rejects further round trips after a failure.

    `wake_up` is set after each failure.
    """

    def __init__(
        self,
        redis: Redis,
        metrics: Metrics,
        *,
        faults: StoreFaults | None = None,
        wake_up: asyncio.Event | None = None,
    ) -> None:
        self.redis = redis
        self._metrics = metrics
        self._faults = faults
        self._wake_up = wake_up or asyncio.Event()
        self._correlations = Correlations()
        self._away = False
        self._answers = True

    @property
    def away(self) -> bool:
        """Whether the store failed and `returned` was not called since."""
        return self._away

    @property
    def answers(self) -> bool:
        """Whether no round trip has failed since the latest good `ping`."""
        return self._answers

    def returned(self) -> None:
        """Permit round trips again."""
        self._away = False
        self._answers = True

    async def ping(self) -> None:
        """Check that the store answers, even while it is away."""
        await self.send("PING", self.redis.ping, always=True)
        # Single jobs can be read from now on, because kept states are written back one by one.
        self._answers = True

    async def send(
        self, operation: str, call: Callable[[], Awaitable[_Result]], sent: int = 0, *, always: bool = False
    ) -> _Result:
        """Return the reply to an operation with `sent` bytes of payload; `always` sends it even while away."""
        if self._away and not always:
            raise StoreError("The job store is away; try again later.")
        started = perf_counter()
        error = None
        try:
            result = await _cancellable(call() if self._faults is None else self._faults.pass_through(call))
        except (RedisError, OSError, TimeoutError) as failure:
            error = type(failure).__name__
            self._away = True
            self._answers = False
            self._wake_up.set()
            raise StoreError(f"The job store failed at {operation}: {error}.") from failure
        else:
            if sent:
                self._metrics.io("store", "sent", sent, self._correlations.read())
            if received := _payload(result):
                self._metrics.io("store", "received", received, self._correlations.read())
            return result
        finally:
            self._metrics.store(operation, perf_counter() - started, error)

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()


def connect(url: str, timeout: float) -> Redis:
    """Return a client for `url`; for "" a client of a store inside this process."""
    if url:
        return Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
    # Imported here, so that a service with a real store does not load it.
    from fakeredis import FakeAsyncRedis  # noqa: PLC0415

    return cast("Redis", FakeAsyncRedis())


async def _cancellable(reply: Awaitable[_Result]) -> _Result:
    """Await `reply`; a cancellation at the very moment of the reply takes effect too.

    The client waits by `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that meets its result
    (https://github.com/python/cpython/issues/86296): a cancelled job would go on, and its deletion would wait forever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    result = await reply
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


def _payload(result: object) -> int:
    if isinstance(result, list):
        return sum(map(_payload, result))
    return len(result) if isinstance(result, bytes) else 0
