"""Answers of one provider, kept by what was asked: the same question costs one call, also when asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, Literal, TypeVar, cast

import msgspec
import orjson
from opentelemetry import trace

from reelbench.service.jobs.correlation import Correlation
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.client import Call, Fetched, ProviderClient
from reelbench.service.provider_client.lru import Lru
from reelbench.service.toggles import Switches

CacheName = Literal["script", "audio", "visual"]
_Value = TypeVar("_Value")


class Cache:
    """The client of one provider, with a memory of its good answers; failures are not kept.

    Concurrent calls that ask the same share one call. It is the first one's in traces and metrics, and goes on when
    that one is cancelled: it ends early only when nobody waits for it any more. While it is switched off, every call
    is made and what was kept stays. All in one event loop.
    """

    def __init__(
        self,
        name: CacheName,
        client: ProviderClient,
        switches: Switches,
        metrics: Metrics,
        *,
        entries: int,
        size: int,
    ) -> None:
        self.name = name
        self._client = client
        self._switches = switches
        self._metrics = metrics
        self._kept: Lru[Fetched[Any]] = Lru(entries, size)
        self._flights: dict[bytes, _Flight] = {}

    @property
    def entries(self) -> int:
        """Answers kept."""
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of the answers kept."""
        return self._kept.size

    async def call(self, call: Call[_Value], correlation: Correlation) -> _Value:
        """The answer, kept or new; raises ProviderError."""
        if not self._switches.cache:
            return await self._client.call(call, correlation)
        key = address(call)
        fetched = self._kept.get(key)
        if fetched is not None:
            self._asked("hit", correlation)
        elif flight := self._flights.get(key):
            self._asked("coalesced", correlation)
            fetched = await flight.join()
        else:
            self._asked("miss", correlation)
            return cast("_Value", (await self._depart(key, call, correlation).join()).value)
        self._metrics.cache_saved(self.name, fetched.size, fetched.seconds, correlation)
        return cast("_Value", fetched.value)

    def _asked(self, result: str, correlation: Correlation) -> None:
        self._metrics.cache_request(self.name, result, correlation)
        trace.get_current_span().set_attribute("cache.result", result)

    def _depart(self, key: bytes, call: Call[Any], correlation: Correlation) -> _Flight:
        def left() -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]

        flight = self._flights[key] = _Flight(self._fetch(key, call, correlation), left)
        return flight

    async def _fetch(self, key: bytes, call: Call[_Value], correlation: Correlation) -> Fetched[_Value]:
        fetched = await self._client.fetch(call, correlation)
        self._kept.put(key, fetched, _size(fetched.value))
        return fetched


class _Flight:
    """A call in progress and how many wait for it; `left` is told when nobody can join it any more."""

    def __init__(self, fetch: Coroutine[Any, Any, Fetched[Any]], left: Callable[[], None]) -> None:
        self._waiting = 0
        self._left = left
        # A task of its own: the cancellation of one who waits must not hit the others.
        self._task = asyncio.create_task(fetch)
        self._task.add_done_callback(lambda _: left())

    async def join(self) -> Fetched[Any]:
        """Wait for the answer; the last one to be cancelled ends the call, and returns when it has ended."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._left()
                self._task.cancel()
                await asyncio.wait({self._task})


def address(call: Call[Any]) -> bytes:
    """sha256 over all that determines the answer: operation, path, and the payload with model, voice, size and text."""
    return sha256(orjson.dumps((call.operation, call.path, call.payload), option=orjson.OPT_SORT_KEYS)).digest()


def _size(value: object) -> int:
    return len(value if isinstance(value, bytes) else msgspec.json.encode(value))
