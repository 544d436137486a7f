"""Writes to the store; keeps states on disk and in memory while the store is away, and writes them back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from reelbench.service.domain.clock import Clock
from reelbench.service.metrics import Metrics
from reelbench.service.store.connection import StoreError
from reelbench.service.store.leases import Heartbeat
from reelbench.service.store.spool import Spool
from reelbench.service.store.state import RESTARTED, State, Written, created, failed
from reelbench.service.store.store import Store

_log = logging.getLogger(__name__)
_INTERVAL = 0.25
"""Seconds between two attempts to reach a store that is away."""
_TRIES = 3
"""Attempts of each step of the write-back: occasional failures of the store must not stop its progress."""
_Result = TypeVar("_Result")


class Backlog:
    """Writes states of jobs; keeps what the store cannot take, and writes it back in order when the store answers.

    At most `limit` new jobs are kept. `wake_up` is the event that the store sets after each failure. `heartbeat` is
    renewed before each write-back; it is None when no other instance can reach the store. `on_superseded` is awaited
    for each kept state that the store did not take, because its job was deleted or was ended by another instance.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        *,
        wake_up: asyncio.Event,
        heartbeat: Heartbeat | None,
        on_superseded: Callable[[State, Written], Awaitable[None]],
        limit: int,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store = store
        self._spool = spool
        self._wake_up = wake_up
        self._heartbeat = heartbeat
        self._on_superseded = on_superseded
        self._limit = limit
        self._metrics = metrics
        self._clock = clock
        self._unsaved: dict[str, State] = {}
        self._stale: set[str] = set()
        """Jobs whose obsolete file could not be removed."""
        self._not_on_disk: set[str] = set()
        self._refused: set[str] = set()
        """Jobs that were refused after an attempt to store them; the store may have taken them."""
        self._arriving = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._attempt = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._unsaved)

    @property
    def away(self) -> bool:
        """Whether the store is away, so writes are kept."""
        return self._store.away

    def ids(self) -> frozenset[str]:
        """Return the ids of the jobs whose states are kept."""
        return frozenset(self._unsaved)

    def get(self, video_id: str) -> State | None:
        """Return the kept state of a job."""
        return self._unsaved.get(video_id)

    async def open(self) -> list[State]:
        """Take over the states that earlier processes left, and write them back, now if the store answers.

        Jobs that had not ended become failed; return their states.
        """
        ended = []
        for found in await asyncio.to_thread(self._spool.adopt):
            state = found
            if state.write != "remove" and not state.terminal:
                try:
                    video, manifest = failed(state.video, state.manifest, RESTARTED, self._clock.now())
                    seconds = self._clock.now() - created(manifest)
                except (KeyError, TypeError, ValueError):
                    _log.exception("%s: its state on disk cannot be used", state.id)
                    continue
                state = msgspec.structs.replace(state, video=video, manifest=manifest, terminal=True)
                self._metrics.ended("failed", seconds, state.correlation)
                ended.append(state)
            self._remember(state)
        if self._unsaved and not await self.restore():
            self._wake_up.set()
        self._task = asyncio.create_task(self._restore_after_failures())
        return ended

    async def check(self) -> None:
        """Raise StoreError unless a new job could be stored or kept."""
        if not self._store.away:
            try:
                await self._store.ping()
            except StoreError:
                pass
            else:
                return
        self._check_room()
        try:
            await asyncio.to_thread(self._spool.probe)
        except OSError as error:
            raise _disk_error(error) from error

    async def add(self, state: State) -> None:
        """Store a new job, or keep it; StoreError when both fail, and then nothing of the job is left."""
        tried = not self._store.away
        try:
            if tried:
                try:
                    await self._store.add(state.id, state.sequence, state.video, state.manifest)
                except StoreError as error:
                    _log.warning("%s: %s The job is kept until the store answers.", state.id, error)
                else:
                    return
            await self._keep_new(state)
        except BaseException:
            if tried:
                self._refused.add(state.id)
                self._wake_up.set()
            raise

    async def update(self, state: State) -> Written:
        """Store a further state of a job, or keep it at least in memory."""
        if not self._store.away and state.id not in self._unsaved:
            try:
                return await self._store.update(state.id, state.video, state.manifest, terminal=state.terminal)
            except StoreError as error:
                _log.warning("%s: %s Its state is kept until the store answers.", state.id, error)
        await self._keep(state)
        return "written"

    async def remove(self, state: State, *, live: bool, known: bool) -> bool:
        """Store the deletion of a job, or keep it; False when the job is unknown.

        `live`: the job was in this process until now. `known`: its files are on this disk. StoreError when only the
        store knows the job, or when the limit leaves no room for the deletion of a job that is not live.
        """
        kept = self._unsaved.get(state.id)
        if kept is not None and kept.write == "remove":
            return False
        if kept is None and not self._store.away:
            try:
                return await self._store.remove(state.id)
            except StoreError:
                if not live:
                    raise
        if kept is None and not live:
            if not known:
                raise StoreError("The job store is away, and only it knows of this video; try again later.")
            self._check_room()
        await self._keep(state)
        return True

    async def forget(self, video_id: str) -> None:
        """Drop the kept state of a job that another instance has ended or deleted."""
        state = self._unsaved.get(video_id)
        if state is not None and state.write != "remove":
            self._drop(state)
            await self._from_disk(video_id)

    async def restore(self) -> bool:
        """Write all kept states back in order; False when the store fails, or when new states have arrived."""
        async with self._attempt:
            try:
                await self._store.ping()
                if self._heartbeat is not None:
                    await _retried(self._heartbeat.renew)
                for video_id in list(self._refused):
                    await _retried(partial(self._store.delete, video_id))
                    self._refused.discard(video_id)
                while self._unsaved:
                    for state in sorted(self._unsaved.values(), key=lambda state: state.sequence):
                        await self._write_back(state)
            except StoreError:
                return False
            if self._unsaved or self._refused or self._arriving:
                return False
            self._store.returned()
            _log.info("The job store holds all states.")
            return True

    async def close(self) -> None:
        """Try once more to write all states back; the rest stays on disk for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if (self._unsaved or self._refused) and not await self.restore():
            _log.warning("The job store is away: the states of %d jobs stay on disk.", len(self._unsaved))
        for video_id in list(self._stale):
            await self._from_disk(video_id)
        await asyncio.to_thread(self._spool.close)

    def _check_room(self) -> None:
        if len(self._unsaved) + self._arriving >= self._limit:
            raise StoreError(f"The job store is away, and no more than {self._limit} jobs are kept for it.")

    async def _keep_new(self, state: State) -> None:
        self._check_room()
        self._arriving += 1
        try:
            # On disk first: a state in memory could be written back although the job is then refused.
            try:
                await _uninterrupted(self._spool.write, state)
            except asyncio.CancelledError:
                await _uninterrupted(self._spool.discard, state.id)
                raise
            except OSError as error:
                raise _disk_error(error) from error
            self._metrics.deferred(state.correlation)
            self._remember(state)
        finally:
            self._arriving -= 1
            self._wake_up.set()

    async def _keep(self, state: State) -> None:
        before = self._unsaved.get(state.id)
        if before is not None and before.write == "remove":
            return
        if before is not None and before.write == "add" and state.write == "update":
            state = msgspec.structs.replace(state, write="add")
        self._remember(state)
        self._wake_up.set()
        await self._to_disk(state)

    async def _to_disk(self, state: State) -> None:
        async with self._lock(state.id):
            if self._unsaved.get(state.id) is not state:
                return
            try:
                await _uninterrupted(self._spool.write, state)
            except OSError as error:
                if state.id not in self._not_on_disk:
                    _log.error("%s: its state is kept in memory only: %s", state.id, error)
                self._not_on_disk.add(state.id)
            else:
                self._not_on_disk.discard(state.id)
                self._metrics.deferred(state.correlation)

    async def _write_back(self, state: State) -> None:
        written = await _retried(partial(self._store.write_back, state))
        if self._unsaved.get(state.id) is state:
            self._drop(state)
            self._metrics.written_back(state.correlation)
            await self._from_disk(state.id)
        if written != "written":
            await self._on_superseded(state, written)

    async def _from_disk(self, video_id: str) -> None:
        async with self._lock(video_id):
            if video_id in self._unsaved:
                return
            try:
                await _uninterrupted(self._spool.discard, video_id)
            except OSError as error:
                # The next start would take the file for the current state, so the removal is repeated.
                if video_id not in self._stale:
                    _log.warning("%s: the file of its kept state cannot be removed: %s", video_id, error)
                self._stale.add(video_id)
                self._wake_up.set()
            else:
                self._stale.discard(video_id)

    def _remember(self, state: State) -> None:
        if state.id not in self._unsaved:
            self._metrics.unsaved(1, state.correlation)
        self._unsaved[state.id] = state

    def _drop(self, state: State) -> None:
        del self._unsaved[state.id]
        self._not_on_disk.discard(state.id)
        self._metrics.unsaved(-1, state.correlation)

    def _lock(self, video_id: str) -> asyncio.Lock:
        return self._locks.setdefault(video_id, asyncio.Lock())

    async def _restore_after_failures(self) -> None:
        while True:
            await self._wake_up.wait()
            if self._store.away:
                _log.warning("The job store is away; states are kept until it answers.")
            while not await self._settled() or self._stale:
                for video_id in list(self._stale):
                    await self._from_disk(video_id)
                for video_id in list(self._not_on_disk):
                    if (state := self._unsaved.get(video_id)) is not None:
                        await self._to_disk(state)
                await asyncio.sleep(_INTERVAL)
            self._wake_up.clear()

    async def _settled(self) -> bool:
        try:
            return await self.restore()
        except Exception:  # noqa: BLE001 - without this task nothing would be written back
            _log.exception("Kept states could not be written back; the attempt is repeated")
            return False


async def _retried(step: Callable[[], Awaitable[_Result]]) -> _Result:
    for _ in range(_TRIES - 1):
        try:
            return await step()
        except StoreError:
            continue
    return await step()


async def _uninterrupted(work: Callable[..., None], *arguments: object) -> None:
    """Run `work` in a thread; a cancellation takes effect when the thread has ended."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        if (error := running.exception()) is not None:
            _log.warning("A cancelled write to the disk failed: %s", error)
        raise


def _disk_error(error: OSError) -> StoreError:
    return StoreError(f"The job store is away, and jobs cannot be kept on disk for it ({error.strerror or error}).")
