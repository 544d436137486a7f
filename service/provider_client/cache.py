"""Cached answers of one provider: equal requests cost one call, even when they are concurrent."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec
import orjson
from opentelemetry import trace

from reelbench.service.domain.correlation import Correlation
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.client import Fetched, ProviderClient
from reelbench.service.provider_client.requests import ProviderRequest
from reelbench.service.settings import Toggles

CacheName = Literal["script", "audio", "visual"]
_Value = TypeVar("_Value")


class Lru(Generic[_Value]):
    """At most `entries` values of together at most `size` bytes; evicts the least recently used one.

    Own code, because `cachetools` bounds either the number of entries or their size, not both.
    """

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._limit = size
        self._kept: OrderedDict[bytes, tuple[_Value, int]] = OrderedDict()
        self.size = 0
        """Total bytes of the values, by the sizes given to `put`."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> _Value | None:
        """Return the value and mark it as used; None if the key is not cached."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: bytes, value: _Value, size: int) -> None:
        """Keep a value of `size` bytes in place of the one at `key`; a value above the limit is not kept."""
        self._drop(self._kept.pop(key, None))
        if size > self._limit:
            return
        self._kept[key] = value, size
        self.size += size
        while len(self._kept) > self._entries or self.size > self._limit:
            self._drop(self._kept.popitem(last=False)[1])

    def _drop(self, entry: tuple[_Value, int] | None) -> None:
        if entry is not None:
            self.size -= entry[1]


class Cache:
    """The client of one provider with a cache of its good answers; failures are not cached.

    Concurrent equal requests share one call, which traces and metrics count for the first one. The call goes on when
    the first caller is cancelled, and is cancelled itself when no caller waits for it any more. While the toggle is
    off, every request is sent and the cached answers stay. All in one event loop.
    """

    def __init__(
        self,
        name: CacheName,
        client: ProviderClient,
        toggles: Toggles,
        metrics: Metrics,
        *,
        entries: int,
        size: int,
    ) -> None:
        self.name = name
        self._client = client
        self._toggles = toggles
        self._metrics = metrics
        self._kept: Lru[Fetched[Any]] = Lru(entries, size)
        self._shared_calls: dict[bytes, _SharedCall] = {}

    @property
    def entries(self) -> int:
        """Number of cached answers."""
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of the cached answers."""
        return self._kept.size

    async def call(self, request: ProviderRequest[_Value], correlation: Correlation) -> _Value:
        """Return the answer, cached or new; raises ProviderError."""
        if not self._toggles.cache:
            return await self._client.call(request, correlation)
        key = address(request)
        fetched = self._kept.get(key)
        if fetched is not None:
            self._asked("hit", correlation)
        elif shared := self._shared_calls.get(key):
            self._asked("coalesced", correlation)
            fetched = await shared.join()
        else:
            self._asked("miss", correlation)
            return cast("_Value", (await self._start(key, request, correlation).join()).value)
        self._metrics.cache_saved(self.name, fetched.size, fetched.seconds, correlation)
        return cast("_Value", fetched.value)

    def _asked(self, result: str, correlation: Correlation) -> None:
        self._metrics.cache_request(self.name, result, correlation)
        trace.get_current_span().set_attribute("cache.result", result)

    def _start(self, key: bytes, request: ProviderRequest[Any], correlation: Correlation) -> _SharedCall:
        def on_end() -> None:
            if self._shared_calls.get(key) is shared:
                del self._shared_calls[key]

        shared = self._shared_calls[key] = _SharedCall(self._fetch(key, request, correlation), on_end)
        return shared

    async def _fetch(self, key: bytes, request: ProviderRequest[_Value], correlation: Correlation) -> Fetched[_Value]:
        fetched = await self._client.fetch(request, correlation)
        self._kept.put(key, fetched, _size(fetched.value))
        return fetched


class _SharedCall:
    """A call in progress and the number of its waiting callers; `on_end` is called when none can join any more."""

    def __init__(self, fetch: Coroutine[Any, Any, Fetched[Any]], on_end: Callable[[], None]) -> None:
        self._waiting = 0
        self._on_end = on_end
        # A task of its own, so that the cancellation of one caller does not hit the others.
        self._task = asyncio.create_task(fetch)
        self._task.add_done_callback(lambda _: on_end())

    async def join(self) -> Fetched[Any]:
        """Wait for the answer; the last caller to be cancelled cancels the call and waits for its end."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._on_end()
                self._task.cancel()
                await asyncio.wait({self._task})


def address(request: ProviderRequest[Any]) -> bytes:
    """Return the sha256 of everything that determines the answer: operation, path and payload."""
    content = request.operation, request.path, request.payload
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def _size(value: object) -> int:
    return len(value if isinstance(value, bytes) else msgspec.json.encode(value))
