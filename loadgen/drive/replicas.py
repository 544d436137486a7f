"""One of several load generators that run one plan together, coordinated through a Redis or Valkey.

Each replica runs a share of the plan. Replicas pass the barriers of a case together, and begin its measured part at an
instant that they agreed on by the clock of the store. The first replica alone controls faults and toggles, and reads
what is recorded once for a run. A run that lost a replica ends: a partial plan is not a valid measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.clock_sources import ClockSource
from reelbench.loadgen.record.conditions import STORE_CLOCK

T = TypeVar("T")

ALIVE = 10
"""Seconds after its last heartbeat at which a replica counts as gone."""
LEAD_SECONDS: Final = 2.0
"""Time from the agreement on an instant to the instant: twenty times as long as a replica takes to read it."""
FAULT_LEAD: Final = 0.5
"""Seconds before the agreed instant at which the first replica applies the faults that begin with the case."""
CLOCK_TRIES: Final = 8
"""Round trips to the store of which the shortest gives the offset of its clock."""
KEPT = 24 * 3600
"""Seconds after which the store forgets a run."""
_POLL = 0.1
_HEARTBEAT = 2.0
_CHUNK = 1000
"""Ids that one command adds to a set."""


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


class Place(msgspec.Struct, frozen=True):
    """The place of a replica in a run."""

    run_id: str
    index: int
    count: int


class Replica:
    """This process as one of the replicas of a run; call `close` at the end."""

    def __init__(self, store: Redis, place: Place) -> None:
        self._store = store
        self.run_id = place.run_id
        self.share = Share(place.index, place.count)
        self.clock = ClockSource(STORE_CLOCK, self._time, tries=CLOCK_TRIES)
        """The clock of the store, by which the replicas agree on instants."""
        self._left = asyncio.Event()
        self._heart = asyncio.create_task(self._beat())

    @property
    def name(self) -> str:
        """Position among the replicas, such as ``2of3``."""
        return f"{self.share.index + 1}of{self.share.count}"

    @property
    def leads(self) -> bool:
        """Whether this is the replica that controls what all replicas share, such as faults."""
        return self.share.index == 0

    async def together(self, phase: str, stop: asyncio.Event) -> None:
        """Wait until every replica has reached this phase, or `stop` is set.

        Raises:
            ReplicaError: one of them is gone, or the store is.
        """
        key = self._key("phase", phase)

        async def all_there() -> bool | None:
            return int(await self._store.get(key) or 0) >= self.share.count or None

        async with self._answering():
            async with self._store.pipeline(transaction=True) as change:
                change.incr(key)
                change.expire(key, KEPT)
                await change.execute()
            await self._until(all_there, stop)

    async def instant(self, phase: str, clock: Clock, stop: asyncio.Event) -> float | None:
        """Return the instant at which all replicas begin a phase, on the clock of this one; None: `stop` is set.

        The first replica chooses it by the clock of the store when all have reached the phase.

        Raises:
            ReplicaError: one of them is gone, or the store is.
        """
        await self.together(phase, stop)

        async def chosen() -> float:
            return await self._now() + LEAD_SECONDS

        agreed = await self.shared(f"instant:{phase}", chosen, stop)
        if agreed is None:
            return None
        async with self._answering():
            found = await self.clock.compare(clock)
        assert found is not None, "the store has a clock"
        return agreed - found[0]

    async def shared(self, name: str, find: Callable[[], Awaitable[float | None]], stop: asyncio.Event) -> float | None:
        """Return the number that the first replica finds, and all others read from the store; None: `stop` is set.

        Raises:
            ReplicaError: a replica is gone, or the store is.
        """
        key = self._key("shared", name)
        if self.leads:
            value = await find()
            if value is not None:
                async with self._answering():
                    await self._store.set(key, repr(value), ex=KEPT)
            return value

        async def read() -> float | None:
            text = await self._store.get(key)
            return None if text is None else float(text)

        async with self._answering():
            return await self._until(read, stop)

    async def check_plan(self, plan_hash: str, stop: asyncio.Event) -> None:
        """Check that all replicas have the same plan, before the first of its jobs is sent.

        Raises:
            ReplicaError: this replica has another plan than the first, or a replica is gone.
        """
        key = self._key("plan", "hash")
        if self.leads:
            async with self._answering():
                await self._store.set(key, plan_hash, ex=KEPT)
        await self.together("plan", stop)
        async with self._answering():
            first = await self._store.get(key)
        if first not in {None, plan_hash}:
            raise ReplicaError(
                f"the plan of replica {self.share.index + 1} is not the plan of replica 1; give all replicas the same "
                "version, scenario files, prompts and options"
            )

    async def gathered(self, phase: str, ids: Collection[str], stop: asyncio.Event) -> frozenset[str]:
        """Return the ids of all replicas once all have reached this phase: to the first replica, none to the others.

        Raises:
            ReplicaError: one of them is gone, or the store is.
        """
        key = self._key("ids", phase)
        ordered = list(ids)
        async with self._answering():
            for begin in range(0, len(ordered), _CHUNK):
                await self._store.sadd(key, *ordered[begin : begin + _CHUNK])
            await self._store.expire(key, KEPT)
        await self.together(phase, stop)
        found: set[str] = set()
        if self.leads:
            async with self._answering():
                async for one in self._store.sscan_iter(key, count=_CHUNK):
                    found.add(str(one))
                await self._store.unlink(key)
        return frozenset(found)

    async def close(self, why: str | None = None) -> None:
        """Leave the run.

        Args:
            why: what ended this replica before the end of the run, for the others; None: the run is over.
        """
        self._left.set()  # not by cancelling: redis-py can swallow a cancellation within a command
        await self._heart
        with contextlib.suppress(RedisError):
            if why is not None:
                sentence = f"replica {self.share.index + 1} of {self.share.count} ended early: {why}"
                await self._store.set(self._key("ended", "early"), sentence, ex=KEPT, nx=True)
            else:
                await self._store.delete(alive_key(self.run_id, self.share.index))
        with contextlib.suppress(RedisError):
            await self._store.aclose()

    def _key(self, kind: str, name: str) -> str:
        return f"loadgen:{kind}:{self.run_id}:{name}"

    async def _until(self, look: Callable[[], Awaitable[T | None]], stop: asyncio.Event) -> T | None:
        """Poll until `look` returns a value; None: `stop` is set first."""
        while not stop.is_set():
            if (found := await look()) is not None:
                return found
            why = await self._store.get(self._key("ended", "early"))
            if why is not None:
                raise ReplicaError(str(why))
            if missing := await self._gone():
                raise ReplicaError(
                    f"{named(missing)} of {self.share.count} {'is' if len(missing) == 1 else 'are'} gone, and a part "
                    "of the plan with it"
                )
            await asyncio.sleep(_POLL)
        return None

    async def _gone(self) -> list[int]:
        """Return the numbers of the replicas that are gone.

        The first replica looks at all, and the others at the first: the work of the store grows with their number, not
        with its square.
        """
        looked_at = range(self.share.count) if self.leads else range(1)
        alive = await self._store.mget([alive_key(self.run_id, index) for index in looked_at])
        return [index + 1 for index, there in zip(looked_at, alive, strict=True) if there is None]

    async def _now(self) -> float:
        async with self._answering():
            seconds, microseconds = await self._store.time()
        return float(seconds) + float(microseconds) / 1e6

    async def _time(self) -> tuple[float, float]:
        now = await self._now()
        return now, now

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            yield
        except RedisError as error:
            raise ReplicaError(f"the store in which the replicas meet does not answer ({error})") from error

    async def _beat(self) -> None:
        while not self._left.is_set():
            with contextlib.suppress(RedisError):  # the next phase fails when the store stays away
                await self._store.set(alive_key(self.run_id, self.share.index), "1", ex=ALIVE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), _HEARTBEAT)


def alive_key(run_id: str, index: int) -> str:
    """Return the key that exists while a replica lives."""
    return f"loadgen:alive:{run_id}:{index}"


def named(numbers: Collection[int], what: str = "replica") -> str:
    """Return numbers as text, such as ``replicas 2, 5``; the first ten of many."""
    shown = [str(number) for number in sorted(numbers)]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"{what}{'s' if len(shown) > 1 else ''} {', '.join(shown[:_SHOWN])}{more}"


_SHOWN = 10
