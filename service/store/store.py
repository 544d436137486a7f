"""The job store: what any instance needs to answer requests for a job, in Redis or in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from reelbench.service.store.connection import Connection
from reelbench.service.store.state import State, Written

_PREFIX = "reelbench:video"
_INDEX = f"{_PREFIX}s"
_OWNERS = "reelbench:owners"
_INSTANCE = "reelbench:instance"
_AT_ONCE = 500
_MICROSECONDS = 1_000_000
"""Of a second; sequences are microseconds of the time of creation."""


class Store:
    """Video and manifest of each job as JSON under separate keys, and an index in order of creation.

    Until a job has ended, its state lies under "live" keys. The end of a job removes the live keys, and updates need
    them: so late updates, or updates by an instance that is regarded as dead, change nothing, without a further round
    trip and without a script in the store.

    Every method is one or two round trips and raises StoreError when the store fails. While the store is `away`,
    methods fail at once, until `returned`; exceptions are `ping`, `heartbeat`, `ended`, `write_back`, calls with
    `always`, and after a good `ping` also `video` and `manifest`.
    `instance` owns the jobs added here; None when no other instance can reach the store.
    """

    def __init__(self, connection: Connection, instance: str | None = None) -> None:
        self._connection = connection
        self._redis = connection.redis
        self._instance = instance

    @property
    def away(self) -> bool:
        """Whether the store failed and `returned` was not called since."""
        return self._connection.away

    def returned(self) -> None:
        """Use the store again: it answers and holds all states."""
        self._connection.returned()

    async def ping(self) -> None:
        """Check that the store answers, even while it is away."""
        await self._connection.ping()

    async def add(
        self,
        video_id: str,
        sequence: int,
        video: bytes,
        manifest: bytes,
        *,
        terminal: bool = False,
        always: bool = False,
    ) -> None:
        """Add a job; jobs are listed by ascending `sequence` (below 2**53, because scores are doubles)."""
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
        await self._connection.send("SET", pipeline.execute, len(video) + len(manifest), always=always)

    async def update(
        self, video_id: str, video: bytes, manifest: bytes, *, terminal: bool = False, always: bool = False
    ) -> Written:
        """Replace the state of a job, `terminal` for the last time; a job that is gone or ended is not changed."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(_live_key(video_id), video, xx=True)
        pipeline.set(_live_manifest_key(video_id), manifest, xx=True)
        if terminal:
            # Both do nothing when the live keys are gone.
            pipeline.copy(_live_key(video_id), _key(video_id))
            pipeline.copy(_live_manifest_key(video_id), _manifest_key(video_id))
            self._drop_live(pipeline, video_id)
        done = await self._connection.send("SET", pipeline.execute, len(video) + len(manifest), always=always)
        if done[0]:
            return "written"
        (last,) = await self._mget([_key(video_id)], always=always)
        if last is None:
            return "deleted"
        # The same state: an earlier attempt succeeded, although its reply was lost.
        return "written" if last == video else "ended"

    async def delete(self, video_id: str, *, always: bool = False) -> bool:
        """Remove a job; False when it is unknown."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.zrem(_INDEX, video_id)
        pipeline.delete(_key(video_id), _manifest_key(video_id))
        self._drop_live(pipeline, video_id)
        done = await self._connection.send("DEL", pipeline.execute, always=always)
        return bool(done[0])

    async def write_back(self, state: State) -> Written:
        """Write a state that was kept while the store was away; may be repeated."""
        if state.write == "remove":
            await self.delete(state.id, always=True)
            return "written"
        written = await self.update(state.id, state.video, state.manifest, terminal=state.terminal, always=True)
        if written == "deleted" and state.write == "add":
            await self.add(state.id, state.sequence, state.video, state.manifest, terminal=state.terminal, always=True)
            return "written"
        return written

    async def video(self, video_id: str) -> bytes | None:
        """Return the JSON of a video, None when it is unknown."""
        return await self._either(_key(video_id), _live_key(video_id))

    async def manifest(self, video_id: str) -> bytes | None:
        """Return the JSON of a manifest, None when the video is unknown."""
        return await self._either(_manifest_key(video_id), _live_manifest_key(video_id))

    async def page(
        self, after: str | None, limit: int, *, descending: bool
    ) -> tuple[list[tuple[str, bytes]], bool] | None:
        """Return at most `limit` videos after `after` (None: from the start) as id and JSON, and whether more follow.

        None when `after` is not in the index.
        """
        start = 0
        if after is not None:
            rank = self._redis.zrevrank if descending else self._redis.zrank
            position = await self._connection.send("ZRANK", lambda: cast("Awaitable[int | None]", rank(_INDEX, after)))
            if position is None:
                return None
            start = position + 1
        ids = await self._connection.send(
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
        # A job that was deleted between the two round trips leaves a gap.
        return [(name, video) for name, video in zip(names, videos, strict=True) if video is not None], len(ids) > limit

    async def ids(self) -> list[str]:
        """Return the ids of all jobs, ended or not, by ascending sequence."""
        found = await self._connection.send(
            "ZRANGE", lambda: cast("Awaitable[list[bytes]]", self._redis.zrange(_INDEX, 0, -1))
        )
        return [video_id.decode() for video_id in found]

    async def before(self, created: float) -> list[str]:
        """Return the ids of the oldest jobs that were created before a time in Unix seconds, at most `_AT_ONCE`."""
        end = f"({int(created * _MICROSECONDS)}"
        found = await self._connection.send(
            "ZRANGE",
            lambda: cast(
                "Awaitable[list[bytes]]", self._redis.zrangebyscore(_INDEX, "-inf", end, start=0, num=_AT_ONCE)
            ),
        )
        return [video_id.decode() for video_id in found]

    async def last_videos(self, video_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the JSON of the ended ones among these videos; one round trip per `_AT_ONCE` videos."""
        found: dict[str, bytes] = {}
        for start in range(0, len(video_ids), _AT_ONCE):
            names = video_ids[start : start + _AT_ONCE]
            videos = await self._mget([*map(_key, names)])
            found.update((name, video) for name, video in zip(names, videos, strict=True) if video is not None)
        return found

    async def ended(self, video_ids: list[str]) -> set[str]:
        """Return those of the jobs that have ended in the store, even while it is away."""
        found = await self._mget([*map(_key, video_ids)], always=True) if video_ids else []
        return {name for name, video in zip(video_ids, found, strict=True) if video is not None}

    async def heartbeat(self, instance: str, seconds: float) -> bool:
        """Set the heartbeat of `instance` for `seconds`; False when there was none before this call."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.exists(_instance_key(instance))
        pipeline.set(_instance_key(instance), b"1", px=max(1, int(seconds * 1000)))
        done = await self._connection.send("SET", pipeline.execute, always=True)
        return bool(done[0])

    async def leave(self, instance: str) -> None:
        """Remove the heartbeat of `instance`."""
        await self._connection.send("DEL", lambda: self._redis.delete(_instance_key(instance)))

    async def owners(self) -> dict[str, str]:
        """Return the instance of each job that has not ended, by the id of the job."""
        found = await self._connection.send(
            "HGETALL", lambda: cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(_OWNERS))
        )
        return {video_id.decode(): instance.decode() for video_id, instance in found.items()}

    async def living(self, instances: list[str]) -> set[str]:
        """Return those of the instances that have a heartbeat."""
        found = await self._mget([*map(_instance_key, instances)]) if instances else []
        return {instance for instance, value in zip(instances, found, strict=True) if value is not None}

    async def end(
        self, video_id: str, owner: str, last: Callable[[bytes, bytes], tuple[bytes, bytes]], *, living: bool = False
    ) -> bytes | None:
        """End a job of a dead owner, with the state that `last` makes of its video and manifest.

        Return the manifest; None when the job has ended otherwise, or when its owner has a heartbeat and `living` is
        false. Of several concurrent callers exactly one gets the manifest.
        """
        return await self._connection.send("EXEC", lambda: self._end(video_id, owner, last, living=living))

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()

    async def _end(
        self, video_id: str, owner: str, last: Callable[[bytes, bytes], tuple[bytes, bytes]], *, living: bool
    ) -> bytes | None:
        heartbeat, live, live_manifest = _instance_key(owner), _live_key(video_id), _live_manifest_key(video_id)
        async with self._redis.pipeline(transaction=True) as pipeline:
            # The heartbeat is watched too: an owner that returns at this moment keeps its job.
            await pipeline.watch(heartbeat, live, live_manifest)
            lives, video, manifest = await cast(
                "Awaitable[list[bytes | None]]", pipeline.mget(heartbeat, live, live_manifest)
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
        found = await self._mget([first, second], always=self._connection.answers)
        return found[0] if found[0] is not None else found[1]

    async def _mget(self, keys: list[str], *, always: bool = False) -> list[bytes | None]:
        return await self._connection.send(
            "MGET", lambda: cast("Awaitable[list[bytes | None]]", self._redis.mget(keys)), always=always
        )


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
