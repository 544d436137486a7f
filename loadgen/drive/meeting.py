"""How replicas of a run meet in a Redis or Valkey: by a quiet window, or by their number where it is known.

With a known number, replica `index` of `count` waits until all others are there. Without one, a replica that starts
joins the set of waiting replicas; when the set has not changed for `QUIET` seconds, one replica closes the meeting in
one transaction. Either way every living member gets a share of the plan, and all get the same run id.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from reelbench.loadgen.drive.replicas import ALIVE, KEPT, Place, Replica, ReplicaError, alive_key, named
from reelbench.loadgen.record.address import shown_url

QUIET = 4.0
"""Seconds without a new replica after which the meeting is closed; compose starts all replicas within one."""
_POLL = 0.1
_WAITING = "loadgen:waiting"
_Meet = Callable[[Redis], Awaitable[Place | None]]


class _Member(msgspec.Struct, frozen=True):
    """What a replica of a known number says of itself."""

    token: str
    count: int


async def join(
    url: str, run_id: str | None = None, *, stop: asyncio.Event | None = None, quiet: float = QUIET
) -> Replica | None:
    """Meet replicas whose number is not known; return None when `stop` is set first.

    Args:
        url: The store, such as ``redis://valkey:6379/0``.
        run_id: Name of the run if this replica closes the meeting; default: made from the time.
        stop: Set when the user stops the run.
        quiet: Seconds without a new replica after which the meeting is closed.

    Raises:
        ReplicaError: the store does not answer, or the meeting was closed without this replica.
    """
    ended = stop or asyncio.Event()
    return await _joined(url, lambda store: _meet(store, run_id, ended, quiet))


async def join_as(
    url: str, index: int, count: int, run_id: str | None = None, *, stop: asyncio.Event | None = None, limit: float
) -> Replica | None:
    """Meet the other replicas of a known number; return None when `stop` is set first.

    Args:
        url: The store, such as ``redis://valkey:6379/0``.
        index: Share of this replica, from 0.
        count: Number of all replicas.
        run_id: Name of the run; default: replica 0 makes one from the time.
        stop: Set when the user stops the run.
        limit: Seconds within which all must be there.

    Raises:
        ReplicaError: the store does not answer, not all came in time, or the run has begun already.
    """
    ended = stop or asyncio.Event()
    return await _joined(url, lambda store: _Known(store, index, count, run_id).meet(ended, limit))


async def _joined(url: str, meet: _Meet) -> Replica | None:
    store: Redis = Redis.from_url(url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5)
    try:
        place = await meet(store)
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


class _Known:
    """The meeting of replicas whose number is known: replica 0 closes it when all are there."""

    def __init__(self, store: Redis, index: int, count: int, run_id: str | None) -> None:
        self._store = store
        self._index = index
        self._count = count
        self._run_id = run_id
        self._lobby = f"loadgen:lobby:{run_id or ''}"
        self._me = _Member(secrets.token_hex(8), count)

    async def meet(self, stop: asyncio.Event, limit: float) -> Place | None:
        begun = time.monotonic()
        while not stop.is_set():
            await self._store.set(_waits(self._me.token), "1", ex=ALIVE)
            text = await self._store.get(_place(self._me.token))
            if text is not None:
                return msgspec.json.decode(text, type=Place)
            if (why := await self._store.get(_refused(self._me.token))) is not None:
                raise ReplicaError(str(why))
            await self._check_new()
            there = await self._enter()
            waited = time.monotonic() - begun
            if not there and waited > 2 * ALIVE:
                raise ReplicaError(
                    f"replica {self._index} of {self._count}, from 0, is there twice; give each another --index"
                )
            if self._index == 0 and there:
                await self._close_if_all()
            if waited > limit:
                missing = await self._missing()
                await self._leave()
                raise ReplicaError(
                    f"{named(missing)} of {self._count}, from 0, did not come within {limit:g} s; start all replicas "
                    "with the same --rendezvous, --replicas and --run-id"
                )
            await asyncio.sleep(_POLL)
        await self._leave()
        return None

    async def _check_new(self) -> None:
        if (
            self._run_id is not None
            and await self._store.exists(_begun(self._run_id))
            and not await self._store.exists(_place(self._me.token))  # given in the same transaction
        ):
            raise ReplicaError(
                f"the run {self._run_id} has begun already: replica {self._index} of {self._count}, from 0, cannot "
                "join it or be repeated; start a new run with another --run-id"
            )

    async def _enter(self) -> bool:
        """Return whether this replica is in the meeting; it takes the place of a replica that is gone."""
        field, mine = str(self._index), msgspec.json.encode(self._me).decode()
        text = await self._store.hget(self._lobby, field)
        if text == mine:
            return True
        if text is not None and await self._store.exists(_waits(msgspec.json.decode(text, type=_Member).token)):
            return False
        await self._store.hset(self._lobby, field, mine)
        await self._store.expire(self._lobby, KEPT)
        return True

    async def _living(self, store: Redis) -> dict[int, _Member]:
        found = {
            int(index): msgspec.json.decode(text, type=_Member)
            for index, text in (await store.hgetall(self._lobby)).items()
        }
        order = sorted(found)
        alive = await store.mget([_waits(found[index].token) for index in order]) if order else []
        return {index: found[index] for index, there in zip(order, alive, strict=True) if there is not None}

    async def _missing(self) -> list[int]:
        """Return the indices of the replicas that are not there; of the first, when only it could not close."""
        living = await self._living(self._store)
        return [index for index in range(self._count) if index not in living] or [0]

    async def _close_if_all(self) -> None:
        """Give every replica its place when all are there, unless a member changes meanwhile.

        Raises:
            ReplicaError: replicas disagree on their number.
        """
        async with self._store.pipeline(transaction=True) as transaction:
            await transaction.watch(self._lobby)
            living = await self._living(transaction)
            await self._check_count(living)
            if any(index not in living for index in range(self._count)):
                return
            run_id = self._run_id or _new_run_id()
            transaction.multi()  # type: ignore[no-untyped-call]
            for index, one in living.items():
                _seat(transaction, one.token, Place(run_id, index, self._count))
            transaction.set(_begun(run_id), "1", ex=KEPT)
            transaction.delete(self._lobby)
            with contextlib.suppress(WatchError):
                await transaction.execute()

    async def _check_count(self, living: Mapping[int, _Member]) -> None:
        other = next(((index, one.count) for index, one in living.items() if one.count != self._count), None)
        if other is None:
            return
        why = (
            f"--replicas: is {self._count} for replica 0 and {other[1]} for replica {other[0]}; give all replicas the "
            "same number"
        )
        for one in living.values():
            await self._store.set(_refused(one.token), why, ex=KEPT)
        await self._store.delete(self._lobby)
        raise ReplicaError(why)

    async def _leave(self) -> None:
        """Remove this replica from the meeting, so that a later one does not count it."""
        field = str(self._index)
        if await self._store.hget(self._lobby, field) == msgspec.json.encode(self._me).decode():
            await self._store.hdel(self._lobby, field)
        await self._store.delete(_waits(self._me.token))


async def _meet(store: Redis, run_id: str | None, stop: asyncio.Event, quiet: float) -> Place | None:
    me = secrets.token_hex(8)
    await store.set(_waits(me), "1", ex=ALIVE)
    await store.sadd(_WAITING, me)
    seen: set[str] = set()
    changed = time.monotonic()
    while not stop.is_set():
        place = await store.get(_place(me))
        if place is not None:
            return msgspec.json.decode(place, type=Place)
        waiting = {str(member) for member in await store.smembers(_WAITING)}
        if me not in waiting and await store.get(_place(me)) is None:
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
        name = run_id or _new_run_id()
        transaction.multi()  # type: ignore[no-untyped-call]
        for index, member in enumerate(living):
            _seat(transaction, member, Place(name, index, len(living)))
        transaction.delete(_WAITING)
        with contextlib.suppress(WatchError):
            await transaction.execute()


def _seat(transaction: Redis, token: str, place: Place) -> None:
    """Give a member its place, and count it as alive until its first heartbeat."""
    transaction.set(_place(token), msgspec.json.encode(place).decode(), ex=KEPT)
    transaction.set(alive_key(place.run_id, place.index), "1", ex=ALIVE)


def _new_run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _waits(member: str) -> str:
    return f"loadgen:waits:{member}"


def _place(member: str) -> str:
    return f"loadgen:place:{member}"


def _refused(member: str) -> str:
    return f"loadgen:refused:{member}"


def _begun(run_id: str) -> str:
    return f"loadgen:begun:{run_id}"
