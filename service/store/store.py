"""The job store: what any replica needs to answer for a job, in Redis or in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, WatchError

from reelbench.service.jobs.correlation import Correlations
from reelbench.service.metrics import Metrics
from reelbench.service.store.faults import StoreFaults
from reelbench.service.store.state import State, Written

_PREFIX = "reelbench:video"
_INDEX = f"{_PREFIX}s"
_OWNERS = "reelbench:owners"
_INSTANCE = "reelbench:instance"
_AT_ONCE = 500
_Result = TypeVar("_Result")


class StoreError(Exception):
    """The store did not answer, or not in time."""


class Store:
    """Video and manifest of each job as JSON under keys of their own, and an index in order of creation.

    Until a job has ended, its state lies under "live" keys, and moves when it ends. Whoever ends a job takes the live
    keys away, and writes of its state need them: so a late write, or one of an instance that others have given up,
    changes nothing, at no further round trip and without a script in the store.

    Every method is one or two round trips and raises StoreError when the store fails. From then on the store is
    `away`, and all methods but `ping`, `beat`, `ended`, `write_back` and `take_back` fail at once, until `returned`;
    `video` and `manifest` until the next good `ping`.
    `instance` owns the jobs added here; None when no other instance can reach the store.
    """

    def __init__(
        self, redis: Redis, metrics: Metrics, faults: StoreFaults | None = None, instance: str | None = None
    ) -> None:
        self._redis = redis
        self._metrics = metrics
        self._faults = faults
        self._correlations = Correlations()
        self._instance = instance
        self._away = False
        self._answers = True
        self.on_away: Callable[[], None] = lambda: None
        """Called after each failure."""

    @property
    def away(self) -> bool:
        """Whether the store failed and `returned` was not called since."""
        return self._away

    def returned(self) -> None:
        """Use the store again: it answers, and holds all that was kept for it."""
        self._away = False
        self._answers = True

    async def ping(self) -> None:
        """Check that the store answers, also while it is away."""
        await self._timed("PING", self._redis.ping, always=True)
        # From now on single jobs can be read, as what is kept here is written back one by one.
        self._answers = True

    async def add(self, video_id: str, sequence: int, video: bytes, manifest: bytes) -> None:
        """Add a job; jobs are listed by ascending `sequence` (below 2**53, as scores are doubles)."""
        await self._add(video_id, sequence, video, manifest)

    async def update(self, video_id: str, video: bytes, manifest: bytes, *, terminal: bool = False) -> Written:
        """Replace a job's state, `terminal` for the last time; nothing is written of a job that is gone or ended."""
        return await self._update(video_id, video, manifest, terminal=terminal)

    async def remove(self, video_id: str) -> bool:
        """Forget a job; False when it is unknown."""
        return await self._remove(video_id)

    async def write_back(self, state: State) -> Written:
        """Write what was kept while the store was away; may be repeated."""
        if state.write == "remove":
            await self.take_back(state.id)
            return "written"
        written = await self._update(state.id, state.video, state.manifest, terminal=state.terminal, always=True)
        if written == "deleted" and state.write == "add":
            await self._add(state.id, state.sequence, state.video, state.manifest, terminal=state.terminal, always=True)
            return "written"
        return written

    async def take_back(self, video_id: str) -> None:
        """Forget a job, also while the store is away; nothing happens when it is unknown."""
        await self._remove(video_id, always=True)

    async def video(self, video_id: str) -> bytes | None:
        """The video's JSON, None when it is unknown."""
        return await self._either(_key(video_id), _live_key(video_id))

    async def manifest(self, video_id: str) -> bytes | None:
        """The manifest's JSON, None when the video is unknown."""
        return await self._either(_manifest_key(video_id), _live_manifest_key(video_id))

    async def page(
        self, after: str | None, limit: int, *, descending: bool
    ) -> tuple[list[tuple[str, bytes]], bool] | None:
        """At most `limit` videos, as id and JSON, behind `after` (None: from the start), and whether more follow.

        None when `after` is not in the index.
        """
        start = 0
        if after is not None:
            rank = self._redis.zrevrank if descending else self._redis.zrank
            position = await self._timed("ZRANK", lambda: cast("Awaitable[int | None]", rank(_INDEX, after)))
            if position is None:
                return None
            start = position + 1
        ids = await self._timed(
            "ZRANGE",
            lambda: cast("Awaitable[list[bytes]]", self._redis.zrange(_INDEX, start, start + limit, desc=descending)),
        )
        if not ids:
            return [], False
        names = [video_id.decode() for video_id in ids[:limit]]
        ended = [_key(name) for name in names]
        live = [_live_key(name) for name in names]
        found = await self._mget([*ended, *live])
        videos = [last if last is not None else now for last, now in zip(found, found[len(names) :], strict=False)]
        # A job deleted between the two round trips has left a gap.
        return [(name, video) for name, video in zip(names, videos, strict=True) if video is not None], len(ids) > limit

    async def ids(self) -> list[str]:
        """All jobs by ascending sequence, those included that have not ended."""
        found = await self._timed("ZRANGE", lambda: cast("Awaitable[list[bytes]]", self._redis.zrange(_INDEX, 0, -1)))
        return [video_id.decode() for video_id in found]

    async def last_videos(self, video_ids: Sequence[str]) -> dict[str, bytes]:
        """The JSON of those of these videos that have ended; one round trip for each `_AT_ONCE` of them."""
        found: dict[str, bytes] = {}
        for start in range(0, len(video_ids), _AT_ONCE):
            names = video_ids[start : start + _AT_ONCE]
            videos = await self._mget([*map(_key, names)])
            found.update((name, video) for name, video in zip(names, videos, strict=True) if video is not None)
        return found

    async def ended(self, video_ids: list[str]) -> set[str]:
        """Those of the jobs that have ended in the store, also while it is away."""
        found = await self._mget([*map(_key, video_ids)], always=True) if video_ids else []
        return {name for name, video in zip(video_ids, found, strict=True) if video is not None}

    async def beat(self, instance: str, seconds: float) -> bool:
        """Say that `instance` lives, for `seconds`; False when that had not been known before this call."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.exists(_instance_key(instance))
        pipeline.set(_instance_key(instance), b"1", px=max(1, int(seconds * 1000)))
        done = await self._timed("SET", pipeline.execute, always=True)
        return bool(done[0])

    async def leave(self, instance: str) -> None:
        """Say that `instance` does not live any more."""
        await self._timed("DEL", lambda: self._redis.delete(_instance_key(instance)))

    async def owners(self) -> dict[str, str]:
        """The instance of each job that has not ended, by the job's id."""
        found = await self._timed(
            "HGETALL", lambda: cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(_OWNERS))
        )
        return {video_id.decode(): instance.decode() for video_id, instance in found.items()}

    async def living(self, instances: list[str]) -> set[str]:
        """Those of the instances that live."""
        found = await self._mget([*map(_instance_key, instances)]) if instances else []
        return {instance for instance, beat in zip(instances, found, strict=True) if beat is not None}

    async def end(
        self, video_id: str, owner: str, last: Callable[[bytes, bytes], tuple[bytes, bytes]], *, living: bool = False
    ) -> bytes | None:
        """End a job for its owner, with the state that `last` makes of its video and manifest.

        Returns the manifest; None when the job ended in another way meanwhile, or its owner lives (and `living` is
        false). Of several callers at once exactly one gets the manifest.
        """
        return await self._timed("EXEC", lambda: self._end(video_id, owner, last, living=living))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _add(
        self,
        video_id: str,
        sequence: int,
        video: bytes,
        manifest: bytes,
        *,
        terminal: bool = False,
        always: bool = False,
    ) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        if terminal:
            pipeline.set(_key(video_id), video, nx=True)
            pipeline.set(_manifest_key(video_id), manifest, nx=True)
        else:
            pipeline.set(_live_key(video_id), video)
            pipeline.set(_live_manifest_key(video_id), manifest)
            if self._instance is not None:
                pipeline.hset(_OWNERS, video_id, self._instance)
        pipeline.zadd(_INDEX, {video_id: sequence})
        await self._timed("SET", pipeline.execute, len(video) + len(manifest), always=always)

    async def _update(
        self, video_id: str, video: bytes, manifest: bytes, *, terminal: bool, always: bool = False
    ) -> Written:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(_live_key(video_id), video, xx=True)
        pipeline.set(_live_manifest_key(video_id), manifest, xx=True)
        if terminal:
            # Neither copies anything when the live keys are gone.
            pipeline.copy(_live_key(video_id), _key(video_id))
            pipeline.copy(_live_manifest_key(video_id), _manifest_key(video_id))
            self._drop_live(pipeline, video_id)
        done = await self._timed("SET", pipeline.execute, len(video) + len(manifest), always=always)
        if done[0]:
            return "written"
        (last,) = await self._mget([_key(video_id)], always=always)
        if last is None:
            return "deleted"
        # The same state: an earlier attempt arrived, although its answer did not.
        return "written" if last == video else "ended"

    async def _remove(self, video_id: str, *, always: bool = False) -> bool:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.zrem(_INDEX, video_id)
        pipeline.delete(_key(video_id), _manifest_key(video_id))
        self._drop_live(pipeline, video_id)
        done = await self._timed("DEL", pipeline.execute, always=always)
        return bool(done[0])

    async def _end(
        self, video_id: str, owner: str, last: Callable[[bytes, bytes], tuple[bytes, bytes]], *, living: bool
    ) -> bytes | None:
        beat, live, live_manifest = _instance_key(owner), _live_key(video_id), _live_manifest_key(video_id)
        async with self._redis.pipeline(transaction=True) as pipeline:
            # With the heartbeat: an owner that comes back at this moment keeps its job.
            await pipeline.watch(beat, live, live_manifest)
            lives, video, manifest = await cast(
                "Awaitable[list[bytes | None]]", pipeline.mget(beat, live, live_manifest)
            )
            if lives is not None and not living:
                return None
            pipeline.multi()  # type: ignore[no-untyped-call] # redis gives no type
            if video is not None and manifest is not None:
                video, manifest = last(video, manifest)
                pipeline.set(_key(video_id), video, nx=True)
                pipeline.set(_manifest_key(video_id), manifest, nx=True)
            self._drop_live(pipeline, video_id)
            try:
                done = await pipeline.execute()
            except WatchError:
                return None
            return manifest if video is not None and done[0] else None

    def _drop_live(self, pipeline: Pipeline, video_id: str) -> None:
        pipeline.delete(_live_key(video_id), _live_manifest_key(video_id))
        if self._instance is not None:
            pipeline.hdel(_OWNERS, video_id)

    async def _either(self, first: str, second: str) -> bytes | None:
        found = await self._mget([first, second], always=self._answers)
        return found[0] if found[0] is not None else found[1]

    async def _mget(self, keys: list[str], *, always: bool = False) -> list[bytes | None]:
        return await self._timed(
            "MGET", lambda: cast("Awaitable[list[bytes | None]]", self._redis.mget(keys)), always=always
        )

    async def _timed(
        self, operation: str, call: Callable[[], Awaitable[_Result]], sent: int = 0, *, always: bool = False
    ) -> _Result:
        """The answer to an operation that gives the store `sent` bytes of payload."""
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
            self.on_away()
            raise StoreError(f"The job store failed at {operation}: {error}.") from failure
        else:
            if sent:
                self._metrics.io("store", "sent", sent, self._correlations.read())
            if received := _payload(result):
                self._metrics.io("store", "received", received, self._correlations.read())
            return result
        finally:
            self._metrics.store(operation, perf_counter() - started, error)


async def _cancellable(answer: Awaitable[_Result]) -> _Result:
    """Await `answer`, and be cancelled also at the very moment when it comes.

    The client waits by `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that meets its result
    (https://github.com/python/cpython/issues/86296): a cancelled job would go on, and its deletion wait for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    result = await answer
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


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


def _live_key(video_id: str) -> str:
    return f"{_PREFIX}:{video_id}:live"


def _live_manifest_key(video_id: str) -> str:
    return f"{_PREFIX}:{video_id}:live:manifest"


def _instance_key(instance: str) -> str:
    return f"{_INSTANCE}:{instance}"
