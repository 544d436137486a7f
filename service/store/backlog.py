"""Writes to the store, and what is kept on disk and in memory while the store is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from reelbench.service.clock import Clock
from reelbench.service.metrics import Metrics
from reelbench.service.store.spool import Spool
from reelbench.service.store.state import RESTARTED, State, Written, created, failed
from reelbench.service.store.store import Store, StoreError

_log = logging.getLogger(__name__)
_INTERVAL = 0.25
"""Seconds between two looks whether the store is back."""
_TRIES = 3
"""Of each step of the write-back: a store that fails now and then must not fall behind what is kept for it."""
_Result = TypeVar("_Result")


class Backlog:
    """Writes states of jobs; what the store cannot take is kept, and written back in order when it is back.

    At most `limit` new jobs are kept. `returned` is called whenever the store answers again, before anything is
    written; `superseded` for each kept state that the store did not take, as its job was deleted or ended by others.
    """

    def __init__(self, store: Store, spool: Spool, *, limit: int, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._spool = spool
        self._limit = limit
        self._metrics = metrics
        self._clock = clock
        self._unsaved: dict[str, State] = {}
        self._stale: set[str] = set()
        """Jobs whose file is of no use any more and could not be removed."""
        self._not_on_disk: set[str] = set()
        # Jobs that were refused after an attempt to store them, of which nobody knows whether it succeeded.
        self._refused: set[str] = set()
        self._arriving = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._attempt = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.returned: Callable[[], Awaitable[None]] = _nothing
        self.superseded: Callable[[State, Written], Awaitable[None]] = _nothing
        store.on_away = self._wake

    def __len__(self) -> int:
        return len(self._unsaved)

    @property
    def away(self) -> bool:
        """Whether writes are kept instead of sent."""
        return self._store.away

    def ids(self) -> frozenset[str]:
        """The jobs whose states are kept."""
        return frozenset(self._unsaved)

    def get(self, video_id: str) -> State | None:
        """What is kept of a job."""
        return self._unsaved.get(video_id)

    async def open(self) -> list[State]:
        """Take over what earlier processes have left behind, and write it back if the store answers.

        Returns the jobs among it that had not ended; they end here, as failed.
        """
        ended = []
        for found in await asyncio.to_thread(self._spool.adopt):
            state = found
            if state.write != "remove" and not state.terminal:
                try:
                    video, manifest = failed(state.video, state.manifest, RESTARTED, self._clock.now())
                    seconds = self._clock.now() - created(manifest)
                except (KeyError, TypeError, ValueError):
                    _log.exception("%s: what was kept of it on disk cannot be used", state.id)
                    continue
                state = msgspec.structs.replace(state, video=video, manifest=manifest, terminal=True)
                self._metrics.ended("failed", seconds, state.correlation)
                ended.append(state)
            self._remember(state)
        if self._unsaved and not await self.restore():
            self._wake()
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
        """Store a new job, or keep it; StoreError when neither can be done, and then nothing of it stays."""
        tried = not self._store.away
        try:
            if tried:
                try:
                    await self._store.add(state.id, state.sequence, state.video, state.manifest)
                except StoreError as error:
                    _log.warning("%s: %s It is kept until the store is back.", state.id, error)
                else:
                    return
            await self._keep_new(state)
        except BaseException:
            if tried:
                self._refused.add(state.id)
                self._wake()
            raise

    async def update(self, state: State) -> Written:
        """Store a further state of a job, or keep it, in memory at least."""
        if not self._store.away and state.id not in self._unsaved:
            try:
                return await self._store.update(state.id, state.video, state.manifest, terminal=state.terminal)
            except StoreError as error:
                _log.warning("%s: %s Its state is kept until the store is back.", state.id, error)
        await self._keep(state)
        return "written"

    async def remove(self, state: State, *, live: bool, known: bool) -> bool:
        """Store that a job was deleted, or keep that; False when the job is unknown.

        `live` says that it ran in this process until now, `known` that there are traces of it here. StoreError when
        only the store could tell, or when there is no room to keep the removal of a job that is not live.
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
        """Drop what is kept of a job that others have ended or deleted."""
        state = self._unsaved.get(video_id)
        if state is not None and state.write != "remove":
            self._drop(state)
            await self._from_disk(video_id)

    async def restore(self) -> bool:
        """Write everything back, in order; False when the store does not answer, or there is more by now."""
        async with self._attempt:
            try:
                await self._store.ping()
                await _tried(self.returned)
                for video_id in list(self._refused):
                    await _tried(partial(self._store.take_back, video_id))
                    self._refused.discard(video_id)
                while self._unsaved:
                    for state in sorted(self._unsaved.values(), key=lambda state: state.sequence):
                        await self._write_back(state)
            except StoreError:
                return False
            if self._unsaved or self._refused or self._arriving:
                return False
            self._store.returned()
            _log.info("The job store holds everything.")
            return True

    async def close(self) -> None:
        """Try once more to write everything back; what the store does not take stays on disk for the next start."""
        self._closed = True
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
            # On disk first: were it in memory, it could be written back before it is refused.
            try:
                await _uncut(self._spool.write, state)
            except asyncio.CancelledError:
                await _uncut(self._spool.discard, state.id)
                raise
            except OSError as error:
                raise _disk_error(error) from error
            self._metrics.deferred(state.correlation)
            self._remember(state)
        finally:
            self._arriving -= 1
            self._wake()

    async def _keep(self, state: State) -> None:
        before = self._unsaved.get(state.id)
        if before is not None and before.write == "remove":
            return
        if before is not None and before.write == "add" and state.write == "update":
            state = msgspec.structs.replace(state, write="add")
        self._remember(state)
        self._wake()
        await self._to_disk(state)

    async def _to_disk(self, state: State) -> None:
        async with self._lock(state.id):
            if self._unsaved.get(state.id) is not state:
                return
            try:
                await _uncut(self._spool.write, state)
            except OSError as error:
                if state.id not in self._not_on_disk:
                    _log.error("%s: its state is kept in memory only: %s", state.id, error)
                self._not_on_disk.add(state.id)
            else:
                self._not_on_disk.discard(state.id)
                self._metrics.deferred(state.correlation)

    async def _write_back(self, state: State) -> None:
        written = await _tried(partial(self._store.write_back, state))
        if self._unsaved.get(state.id) is state:
            self._drop(state)
            self._metrics.written_back(state.correlation)
            await self._from_disk(state.id)
        if written != "written":
            await self.superseded(state, written)

    async def _from_disk(self, video_id: str) -> None:
        async with self._lock(video_id):
            if video_id in self._unsaved:
                return
            try:
                await _uncut(self._spool.discard, video_id)
            except OSError as error:
                # It would be taken for the truth at the next start, so it is tried again.
                if video_id not in self._stale:
                    _log.warning("%s: its kept state cannot be removed: %s", video_id, error)
                self._stale.add(video_id)
                self._wake()
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

    def _wake(self) -> None:
        if self._task is None and not self._closed:
            if self._store.away:
                _log.warning("The job store is away; what it should hold is kept here until it is back.")
            self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while not await self._settled() or self._stale:
            for video_id in list(self._stale):
                await self._from_disk(video_id)
            for video_id in list(self._not_on_disk):
                if (state := self._unsaved.get(video_id)) is not None:
                    await self._to_disk(state)
            await asyncio.sleep(_INTERVAL)
        self._task = None

    async def _settled(self) -> bool:
        try:
            return await self.restore()
        except Exception:  # noqa: BLE001 - see below
            # Were this task to end, nothing would be written back any more.
            _log.exception("What was kept for the store could not be written back; it is tried again")
            return False


async def _tried(step: Callable[[], Awaitable[_Result]]) -> _Result:
    for _ in range(_TRIES - 1):
        try:
            return await step()
        except StoreError:
            continue
    return await step()


async def _uncut(work: Callable[..., None], *arguments: object) -> None:
    """Run `work` in a thread; a cancellation takes effect when it has ended, so that nothing overtakes it."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        if (error := running.exception()) is not None:
            _log.warning("Cut off, and it failed too: %s", error)
        raise


async def _nothing(*_: object) -> None:
    """Nobody wants to know."""


def _disk_error(error: OSError) -> StoreError:
    return StoreError(f"The job store is away, and jobs cannot be kept on disk for it ({error.strerror or error}).")
