"""Round trips to the job store, and their injected faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from reelbench.service.metrics import Metrics
from reelbench.service.store.faults import StoreFaults

_Result = TypeVar("_Result")
_LONGEST_REASON = 160
"""Characters."""
_REPLIES = (ResponseError, AuthenticationError, BusyLoadingError)
"""Errors whose message is the store's reply."""


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
        self._correlations = metrics.correlations
        self._away = False
        self._answers = True
        self._reply = ""
        """What the store replied to the round trip that failed last, in brackets; empty without a reply."""

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
            raise StoreError(f"The job store is away{self._reply}; try again later.")
        started = perf_counter()
        error = None
        try:
            result = await _cancellable(call() if self._faults is None else self._faults.pass_through(call))
        except (RedisError, OSError, TimeoutError) as failure:
            error = type(failure).__name__
            self._away = True
            self._answers = False
            self._wake_up.set()
            self._reply = _reason(failure)
            raise StoreError(f"The job store failed at {operation}: {error}{self._reply}.") from failure
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


def _reason(failure: BaseException) -> str:
    """Return the first line of the store's reply, such as ``OOM command not allowed``; empty without a reply.

    The messages of failed connections are the client's own, and name the host.
    """
    if not isinstance(failure, _REPLIES):
        return ""
    line = (str(failure).strip().splitlines() or [""])[0][:_LONGEST_REASON].rstrip(". ")
    return f" ({line})" if line else ""


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
