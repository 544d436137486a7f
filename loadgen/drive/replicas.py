"""Several load generators that run one plan together: they meet in a Redis or Valkey, and need to be told nothing else.

Whoever starts joins a set of those that wait. When nobody has joined for a while, one of them closes the meeting in one
transaction: every member that is still alive gets its share, and all get the same run. A member that comes too late is
not in the run and says so. In the run the replicas begin each phase of a case together, and notice when one is gone:
a plan of which a part is not run says nothing.
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

QUIET = 4.0
"""Seconds without a newcomer after which the meeting is closed; compose starts all replicas within one."""
ALIVE = 10
"""Seconds after its last sign of life at which a replica counts as gone."""
_POLL = 0.1
_SIGN = 2.0
_KEPT = 24 * 3600
_WAITING = "loadgen:waiting"


@dataclass(frozen=True, slots=True)
class Share:
    """Share `index` (from 0) of `count`.

    A case's slots are dealt out one by one, and each job belongs to the slot that its index falls on. So all shares
    together keep exactly the case's concurrency, every job is in one share, and a case with fewer slots than there are
    shares leaves some of them idle. Arrivals of an open case are dealt out one by one.
    """

    index: int = 0
    count: int = 1

    def slots(self, concurrency: int) -> int:
        """How many of a case's jobs in flight are this share's."""
        return len(range(self.index, concurrency, self.count))

    def owns(self, job: int, concurrency: int) -> bool:
        """Tell whether the job with this index in its case is this share's."""
        return job % concurrency % self.count == self.index

    def owns_arrival(self, job: int) -> bool:
        """Tell whether the arrival with this index in its case is this share's."""
        return job % self.count == self.index

    def most(self, limit: int) -> int:
        """This share's part of a limit of jobs in flight; one at least, or none of its jobs could be sent."""
        return max(1, self.slots(limit))


WHOLE = Share()


class ReplicaError(Exception):
    """The replicas cannot run together; the message is one sentence."""


class _Place(msgspec.Struct, frozen=True):
    run_id: str
    index: int
    count: int


class Replica:
    """This process as one of the replicas of a run; close it at the end."""

    def __init__(self, store: Redis, place: _Place) -> None:
        self._store = store
        self.run_id = place.run_id
        self.share = Share(place.index, place.count)
        self._left = asyncio.Event()
        self._living = asyncio.create_task(self._live())

    @property
    def name(self) -> str:
        """Such as ``2of3``."""
        return f"{self.share.index + 1}of{self.share.count}"

    async def together(self, phase: str, stop: asyncio.Event) -> None:
        """Wait until every replica has come to this phase, or `stop` is set.

        Raises:
            ReplicaError: one of them is gone, or the store is.
        """
        key = f"loadgen:phase:{self.run_id}:{phase}"
        try:
            await self._store.incr(key)
            await self._store.expire(key, _KEPT)
            begun = time.monotonic()
            while not stop.is_set() and int(await self._store.get(key) or 0) < self.share.count:
                # Only after a while: a replica gives its first sign of life a moment after the meeting.
                if time.monotonic() - begun > ALIVE and (gone := await self._gone()):
                    raise ReplicaError(
                        f"replica {gone} of {self.share.count} is gone, and its share of the plan with it"
                    )
                await asyncio.sleep(_POLL)
        except RedisError as error:
            raise ReplicaError(f"the store in which the replicas meet does not answer ({error})") from error

    async def close(self) -> None:
        """Leave."""
        self._left.set()  # not by cancelling, which redis-py can swallow in the middle of a command
        await self._living
        with contextlib.suppress(RedisError):
            await self._store.aclose()

    def _alive(self, index: int) -> str:
        return f"loadgen:alive:{self.run_id}:{index}"

    async def _gone(self) -> int | None:
        for index in range(self.share.count):
            if not await self._store.exists(self._alive(index)):
                return index + 1
        return None

    async def _live(self) -> None:
        while not self._left.is_set():
            with contextlib.suppress(RedisError):  # the next phase tells when the store stays away
                await self._store.set(self._alive(self.share.index), "1", ex=ALIVE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), _SIGN)


async def join(
    url: str, run_id: str | None = None, *, stop: asyncio.Event | None = None, quiet: float = QUIET
) -> Replica | None:
    """Meet the other replicas; None when `stop` is set first.

    Args:
        url: The store, such as ``redis://valkey:6379/0``.
        run_id: Name of the run if this replica closes the meeting; default: one made of the time.
        stop: Set when the user does not want to wait any longer.
        quiet: Seconds without a newcomer after which the meeting is closed.

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
            msg = f"the store {url} in which the replicas meet does not answer ({error}); check --rendezvous"
            raise ReplicaError(msg) from error
        raise
    if place is None:
        await store.aclose()
        return None
    return Replica(store, place)


async def _meet(store: Redis, run_id: str | None, stop: asyncio.Event, quiet: float) -> _Place | None:
    me = secrets.token_hex(8)
    await store.set(_sign(me), "1", ex=ALIVE)
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
        await store.set(_sign(me), "1", ex=ALIVE)
        if waiting != seen:
            seen, changed = waiting, time.monotonic()
        elif time.monotonic() - changed >= quiet:
            await _close(store, seen, run_id)
        await asyncio.sleep(_POLL)
    await store.srem(_WAITING, me)
    return None


async def _close(store: Redis, expected: set[str], run_id: str | None) -> None:
    """Give everybody a place, unless somebody joined or closed meanwhile."""
    async with store.pipeline(transaction=True) as transaction:
        await transaction.watch(_WAITING)
        if set(await transaction.smembers(_WAITING)) != expected:
            return
        living = sorted([member for member in expected if await transaction.exists(_sign(member))])
        name = run_id or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        transaction.multi()  # type: ignore[no-untyped-call]
        for index, member in enumerate(living):
            place = msgspec.json.encode(_Place(name, index, len(living))).decode()
            transaction.set(f"loadgen:place:{member}", place, ex=_KEPT)
        transaction.delete(_WAITING)
        with contextlib.suppress(WatchError):
            await transaction.execute()


def _sign(member: str) -> str:
    return f"loadgen:waits:{member}"
