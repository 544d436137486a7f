"""The job store: what any replica needs to answer for a job, in Redis or in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.correlation import Correlations
from service.metrics import Metrics
from service.store_faults import StoreFaults

_PREFIX = "reelbench:video"
_INDEX = f"{_PREFIX}s"
_AT_ONCE = 500
_Result = TypeVar("_Result")


class StoreError(Exception):
    """The store did not answer, or not in time."""


class Store:
    """Video and manifest of each job as JSON under keys of their own, and an index in order of creation.

    Every method is one or two round trips and raises StoreError when the store fails.
    """

    def __init__(self, redis: Redis, metrics: Metrics, faults: StoreFaults | None = None) -> None:
        self._redis = redis
        self._metrics = metrics
        self._faults = faults
        self._correlations = Correlations()

    async def ping(self) -> None:
        """Check that the store answers."""
        await self._timed("PING", self._redis.ping())

    async def add(self, video_id: str, sequence: int, video: bytes, manifest: bytes) -> None:
        """Add a job; jobs are listed by ascending `sequence` (below 2**53, as scores are doubles)."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(_key(video_id), video)
        pipeline.set(_manifest_key(video_id), manifest)
        pipeline.zadd(_INDEX, {video_id: sequence})
        await self._timed("SET", pipeline.execute(), len(video) + len(manifest))

    async def update(self, video_id: str, video: bytes, manifest: bytes) -> bool:
        """Replace a job's state; False when the job was deleted meanwhile (nothing is written then)."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(_key(video_id), video, xx=True)
        pipeline.set(_manifest_key(video_id), manifest, xx=True)
        done = await self._timed("SET", pipeline.execute(), len(video) + len(manifest))
        return bool(done[0])

    async def video(self, video_id: str) -> bytes | None:
        """The video's JSON, None when it is unknown."""
        return cast("bytes | None", await self._timed("GET", self._redis.get(_key(video_id))))

    async def manifest(self, video_id: str) -> bytes | None:
        """The manifest's JSON, None when the video is unknown."""
        return cast("bytes | None", await self._timed("GET", self._redis.get(_manifest_key(video_id))))

    async def page(
        self, after: str | None, limit: int, *, descending: bool
    ) -> tuple[list[tuple[str, bytes]], bool] | None:
        """At most `limit` videos, as id and JSON, behind `after` (None: from the start), and whether more follow.

        None when `after` is not in the index.
        """
        start = 0
        if after is not None:
            rank = self._redis.zrevrank if descending else self._redis.zrank
            position = await self._timed("ZRANK", cast("Awaitable[int | None]", rank(_INDEX, after)))
            if position is None:
                return None
            start = position + 1
        span = cast("Awaitable[list[bytes]]", self._redis.zrange(_INDEX, start, start + limit, desc=descending))
        ids = await self._timed("ZRANGE", span)
        if not ids:
            return [], False
        names = [video_id.decode() for video_id in ids[:limit]]
        videos = await self._timed("MGET", cast("Awaitable[list[Any]]", self._redis.mget([*map(_key, names)])))
        # A job deleted between the two round trips has left a gap.
        return [found for found in zip(names, videos, strict=True) if found[1] is not None], len(ids) > limit

    async def ids(self) -> list[str]:
        """All jobs by ascending sequence."""
        found = await self._timed("ZRANGE", cast("Awaitable[list[bytes]]", self._redis.zrange(_INDEX, 0, -1)))
        return [video_id.decode() for video_id in found]

    async def videos(self, video_ids: Sequence[str]) -> dict[str, bytes]:
        """The JSON of those of these videos that exist; one round trip for each `_AT_ONCE` of them."""
        found: dict[str, bytes] = {}
        for start in range(0, len(video_ids), _AT_ONCE):
            names = video_ids[start : start + _AT_ONCE]
            videos = await self._timed("MGET", cast("Awaitable[list[Any]]", self._redis.mget([*map(_key, names)])))
            found.update((name, video) for name, video in zip(names, videos, strict=True) if video is not None)
        return found

    async def remove(self, video_id: str) -> bool:
        """Forget a job; False when it is unknown."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(_key(video_id), _manifest_key(video_id))
        pipeline.zrem(_INDEX, video_id)
        done = await self._timed("DEL", pipeline.execute())
        return bool(done[0])

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _timed(self, operation: str, answer: Awaitable[_Result], sent: int = 0) -> _Result:
        """The answer to an operation that gives the store `sent` bytes of payload."""
        started = perf_counter()
        error = None
        try:
            result = await (answer if self._faults is None else self._faults.pass_through(answer))
        except (RedisError, OSError, TimeoutError) as failure:
            error = type(failure).__name__
            raise StoreError(f"The job store failed at {operation}: {error}.") from failure
        else:
            if sent:
                self._metrics.io("store", "sent", sent, self._correlations.read())
            if received := _payload(result):
                self._metrics.io("store", "received", received, self._correlations.read())
            return result
        finally:
            self._metrics.store(operation, perf_counter() - started, error)


def connect(url: str, timeout: float) -> Redis:
    """A client for `url`; for "" one over a store that lives in this process."""
    if url:
        return Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
    # Loaded here, as a service with a real store should not pay for it at its start.
    from fakeredis import FakeAsyncRedis  # noqa: PLC0415

    return cast("Redis", FakeAsyncRedis())


def _payload(result: object) -> int:
    if isinstance(result, list):
        return sum(map(_payload, result))
    return len(result) if isinstance(result, bytes) else 0


def _key(video_id: str) -> str:
    return f"{_PREFIX}:{video_id}"


def _manifest_key(video_id: str) -> str:
    return f"{_PREFIX}:{video_id}:manifest"
