"""States of jobs that the store does not hold yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from weakref import WeakValueDictionary

import msgspec

from reelbench.service.domain.correlation import Correlation
from reelbench.service.metrics import Metrics
from reelbench.service.store.spool import Spool
from reelbench.service.store.state import State

_log = logging.getLogger(__name__)


class KeptStates:
    """The latest state of each job that the store does not hold: in memory, and on disk for the next start.

    `wake_up` is set whenever there is something to write back or to repair.
    """

    def __init__(self, spool: Spool, metrics: Metrics, wake_up: asyncio.Event) -> None:
        self._spool = spool
        self._metrics = metrics
        self._wake_up = wake_up
        self._states: dict[str, State] = {}
        self._obsolete: set[str] = set()
        """Jobs whose obsolete file could not be removed."""
        self._not_on_disk: set[str] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._states)

    @property
    def obsolete(self) -> bool:
        """Whether there are obsolete files."""
        return bool(self._obsolete)

    def ids(self) -> frozenset[str]:
        """Return the ids of the jobs."""
        return frozenset(self._states)

    def get(self, video_id: str) -> State | None:
        """Return the state of a job."""
        return self._states.get(video_id)

    def in_order(self) -> list[State]:
        """Return all states by ascending sequence."""
        return sorted(self._states.values(), key=lambda state: state.sequence)

    async def adopt(self) -> list[State]:
        """Return the states that earlier processes left on disk; their files belong to this process now."""
        found = await asyncio.to_thread(self._spool.adopt)
        return [msgspec.structs.replace(state, correlation=self._labels(state.correlation)) for state in found]

    async def probe(self) -> None:
        """Check that a state can be written to the disk; raises OSError."""
        await asyncio.to_thread(self._spool.probe)

    def remember(self, state: State) -> None:
        """Keep a state in memory."""
        if state.id not in self._states:
            self._metrics.correlations.hold(state.correlation)
            self._metrics.unsaved(1, state.correlation)
        self._states[state.id] = state

    async def keep_new(self, state: State) -> None:
        """Keep the state of a new job on disk and in memory, or raise OSError and keep nothing."""
        # On disk first: a state in memory could be written back although the job is then refused.
        try:
            await _uninterrupted(self._spool.write, state)
        except asyncio.CancelledError:
            await _uninterrupted(self._spool.discard, state.id)
            raise
        self._metrics.deferred(state.correlation)
        self.remember(state)

    async def keep(self, state: State) -> None:
        """Keep a further state of a job in memory, and on disk if the disk takes it; a removal is final."""
        before = self._states.get(state.id)
        if before is not None and before.write == "remove":
            return
        if before is not None and before.write == "add" and state.write == "update":
            state = msgspec.structs.replace(state, write="add")
        self.remember(state)
        self._wake_up.set()
        await self._to_disk(state)

    async def drop(self, state: State) -> bool:
        """Drop a state, unless a later one of its job has replaced it; return whether it was dropped."""
        if self._states.get(state.id) is not state:
            return False
        del self._states[state.id]
        self._not_on_disk.discard(state.id)
        self._metrics.unsaved(-1, state.correlation)
        self._metrics.correlations.release(state.correlation)
        await self._from_disk(state.id)
        return True

    async def repair(self) -> None:
        """Try again to write states to the disk, and to remove obsolete files from it."""
        for video_id in list(self._obsolete):
            await self._from_disk(video_id)
        for video_id in list(self._not_on_disk):
            if (state := self._states.get(video_id)) is not None:
                await self._to_disk(state)

    async def close(self) -> None:
        """Remove obsolete files, and release the folder on disk."""
        for video_id in list(self._obsolete):
            await self._from_disk(video_id)
        await asyncio.to_thread(self._spool.close)

    async def _to_disk(self, state: State) -> None:
        async with self._lock(state.id):
            if self._states.get(state.id) is not state:
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

    async def _from_disk(self, video_id: str) -> None:
        async with self._lock(video_id):
            if video_id in self._states:
                return
            try:
                await _uninterrupted(self._spool.discard, video_id)
            except OSError as error:
                # The next start would take the file for the current state, so the removal is repeated.
                if video_id not in self._obsolete:
                    _log.warning("%s: the file of its kept state cannot be removed: %s", video_id, error)
                self._obsolete.add(video_id)
                self._wake_up.set()
            else:
                self._obsolete.discard(video_id)

    def _labels(self, correlation: Correlation) -> Correlation:
        held = self._metrics.correlations.hold(correlation)
        self._metrics.correlations.release(held)
        return held

    def _lock(self, video_id: str) -> asyncio.Lock:
        return self._locks.setdefault(video_id, asyncio.Lock())


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
