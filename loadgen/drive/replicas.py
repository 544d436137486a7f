"""Replicas: several load generators that run one plan together, coordinated through a Redis or Valkey.

A replica that starts joins the set of waiting replicas. When the set has not changed for `QUIET` seconds, one replica
closes the meeting in one transaction: every living member gets a share of the plan, and all get the same run id. A
replica that was left out reports an error. During the run, replicas begin each phase of a case together and fail when
one of them is gone: a partial plan is not a valid measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from reelbench.loadgen.record.address import shown_url

QUIET = 4.0
"""Seconds without a new replica after which the meeting is closed; compose starts all replicas within one."""
ALIVE = 10
"""Seconds after its last heartbeat at which a replica counts as gone."""
_POLL = 0.1
_HEARTBEAT = 2.0
_KEPT = 24 * 3600
_WAITING = "loadgen:waiting"


@dataclass(frozen=True, slots=True)
class Share:
    """Share `index` (from 0) of `count`.

    Virtual users of a case are dealt out one by one, and each job belongs to the virtual user that its index falls on.
    So all shares together have exactly the concurrency of the case, every job is in one share, and shares are idle in a
    case with fewer virtual users than shares. Arrivals of an open case are dealt out one by one.
    """

    index: int = 0
    count: int = 1

    def users(self, concurrency: int) -> int:
        """Return the number of virtual users of a case that belong to this share."""
        return len(range(self.index, concurrency, self.count))

    def owns(self, job: int, concurrency: int) -> bool:
        """Return whether the job with this index in its case belongs to this share."""
        return job % concurrency % self.count == self.index

    def owns_arrival(self, job: int) -> bool:
        """Return whether the arrival with this index in its case belongs to this share."""
        return job % self.count == self.index

    def most(self, limit: int) -> int:
        """Return this share's part of a limit of jobs in flight; at least 1, else its jobs could never be sent."""
        return max(1, self.users(limit))


WHOLE = Share()


class ReplicaError(Exception):
    """The replicas cannot run together; the message is one sentence."""


class _Place(msgspec.Struct, frozen=True):
    run_id: str
    index: int
    count: int


class Replica:
    """This process as one of the replicas of a run; call `close` at the end."""

    def __init__(self, store: Redis, place: _Place) -> None:
        self._store = store
        self.run_id = place.run_id
        self.share = Share(place.index, place.count)
        self._left = asyncio.Event()
        self._heart = asyncio.create_task(self._beat())

    @property
    def name(self) -> str:
        """Position among the replicas, such as ``2of3``."""
        return f"{self.share.index + 1}of{self.share.count}"

    async def together(self, phase: str, stop: asyncio.Event) -> None:
        """Wait until every replica has reached this phase, or `stop` is set.

        Raises:
            ReplicaError: one of them is gone, or the store is.
        """
        key = f"loadgen:phase:{self.run_id}:{phase}"
        try:
            await self._store.incr(key)
            await self._store.expire(key, _KEPT)
            begun = time.monotonic()
            while not stop.is_set() and int(await self._store.get(key) or 0) < self.share.count:
                # Not at once: the first heartbeat of a replica comes a moment after the meeting.
                if time.monotonic() - begun > ALIVE and (gone := await self._gone()):
                    raise ReplicaError(
                        f"replica {gone} of {self.share.count} is gone, and its share of the plan with it"
                    )
                await asyncio.sleep(_POLL)
        except RedisError as error:
            raise ReplicaError(f"the store in which the replicas meet does not answer ({error})") from error

    async def close(self) -> None:
        """Leave the run."""
        self._left.set()  # not by cancelling: redis-py can swallow a cancellation within a command
        await self._heart
        with contextlib.suppress(RedisError):
            await self._store.aclose()

    def _alive(self, index: int) -> str:
        return f"loadgen:alive:{self.run_id}:{index}"

    async def _gone(self) -> int | None:
        for index in range(self.share.count):
            if not await self._store.exists(self._alive(index)):
                return index + 1
        return None

    async def _beat(self) -> None:
        while not self._left.is_set():
            with contextlib.suppress(RedisError):  # the next phase fails when the store stays away
                await self._store.set(self._alive(self.share.index), "1", ex=ALIVE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), _HEARTBEAT)


async def join(
    url: str, run_id: str | None = None, *, stop: asyncio.Event | None = None, quiet: float = QUIET
) -> Replica | None:
    """Meet the other replicas; return None when `stop` is set first.

    Args:
        url: The store, such as ``redis://valkey:6379/0``.
        run_id: Name of the run if this replica closes the meeting; default: made from the time.
        stop: Set when the user stops the run.
        quiet: Seconds without a new replica after which the meeting is closed.

    Raises:
        ReplicaError: the store does not answer, or the meeting was closed without this replica.
    """
    store: Redis = Redis.from_url(url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5)
    try:
        place = await _meet(store, run_id, stop or asyncio.Event(), quiet)
    except BaseException as error:
        with contextlib.suppress(RedisError):
            await store.aclose()
        if isinstance(error, RedisError | ValueError):
            raise ReplicaError(
                f"the store {shown_url(url)} in which the replicas meet does not answer ({error}); check --rendezvous"
            ) from error
        raise
    if place is None:
        await store.aclose()
        return None
    return Replica(store, place)


async def _meet(store: Redis, run_id: str | None, stop: asyncio.Event, quiet: float) -> _Place | None:
    me = secrets.token_hex(8)
    await store.set(_waits(me), "1", ex=ALIVE)
    await store.sadd(_WAITING, me)
    seen: set[str] = set()
    changed = time.monotonic()
    while not stop.is_set():
        place = await store.get(f"loadgen:place:{me}")
        if place is not None:
            return msgspec.json.decode(place, type=_Place)
        waiting = {str(member) for member in await store.smembers(_WAITING)}
        if me not in waiting and await store.get(f"loadgen:place:{me}") is None:
            raise ReplicaError("the run began without this replica, which was silent for too long; start it again")
        await store.set(_waits(me), "1", ex=ALIVE)
        if waiting != seen:
            seen, changed = waiting, time.monotonic()
        elif time.monotonic() - changed >= quiet:
            await _close(store, seen, run_id)
        await asyncio.sleep(_POLL)
    await store.srem(_WAITING, me)
    return None


async def _close(store: Redis, expected: set[str], run_id: str | None) -> None:
    """Give every living member a place, unless the set has changed meanwhile."""
    async with store.pipeline(transaction=True) as transaction:
        await transaction.watch(_WAITING)
        if set(await transaction.smembers(_WAITING)) != expected:
            return
        living = sorted([member for member in expected if await transaction.exists(_waits(member))])
        name = run_id or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        transaction.multi()  # type: ignore[no-untyped-call]
        for index, member in enumerate(living):
            place = msgspec.json.encode(_Place(name, index, len(living))).decode()
            transaction.set(f"loadgen:place:{member}", place, ex=_KEPT)
        transaction.delete(_WAITING)
        with contextlib.suppress(WatchError):
            await transaction.execute()


def _waits(member: str) -> str:
    return f"loadgen:waits:{member}"
