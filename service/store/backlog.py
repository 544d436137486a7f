"""Writes to the store, and the write-back of states that were kept while the store was away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from reelbench.service.domain.clock import Clock
from reelbench.service.metrics import Metrics
from reelbench.service.store.connection import StoreError
from reelbench.service.store.kept_states import KeptStates
from reelbench.service.store.leases import Heartbeat
from reelbench.service.store.state import RESTARTED, State, Written, created, failed
from reelbench.service.store.store import Store

_log = logging.getLogger(__name__)
_INTERVAL = 0.25
"""Seconds between two attempts to reach a store that is away."""
_ATTEMPTS = 3
"""Attempts of a step of the write-back, so that occasional failures of the store do not stop its progress."""
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
        kept: KeptStates,
        *,
        wake_up: asyncio.Event,
        heartbeat: Heartbeat | None,
        on_superseded: Callable[[State, Written], Awaitable[None]],
        limit: int,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store = store
        self._kept = kept
        self._wake_up = wake_up
        self._heartbeat = heartbeat
        self._on_superseded = on_superseded
        self._limit = limit
        self._metrics = metrics
        self._clock = clock
        self._refused: set[str] = set()
        """Jobs that were refused after an attempt to store them; the store may have taken them."""
        self._arriving = 0
        self._attempt = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def away(self) -> bool:
        """Whether the store is away, so writes are kept."""
        return self._store.away

    def ids(self) -> frozenset[str]:
        """Return the ids of the jobs whose states are kept."""
        return self._kept.ids()

    def get(self, video_id: str) -> State | None:
        """Return the kept state of a job."""
        return self._kept.get(video_id)

    async def open(self) -> list[State]:
        """Take over the states that earlier processes left, and write them back, now if the store answers.

        Jobs that had not ended become failed; return their states.
        """
        ended = []
        for found in await self._kept.adopt():
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
            self._kept.remember(state)
        if self._kept and not await self.restore():
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
            await self._kept.probe()
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
        if not self._store.away and self._kept.get(state.id) is None:
            try:
                return await self._store.update(state.id, state.video, state.manifest, terminal=state.terminal)
            except StoreError as error:
                _log.warning("%s: %s Its state is kept until the store answers.", state.id, error)
        await self._kept.keep(state)
        return "written"

    async def remove(self, state: State, *, live: bool, known: bool) -> bool:
        """Store the deletion of a job, or keep it; False when the job is unknown.

        `live`: the job was in this process until now. `known`: its files are on this disk. StoreError when only the
        store knows the job, or when the limit leaves no room for the deletion of a job that is not live.
        """
        kept = self._kept.get(state.id)
        if kept is not None and kept.write == "remove":
            return False
        if kept is None and not self._store.away:
            try:
                return await self._store.delete(state.id)
            except StoreError:
                if not live:
                    raise
        if kept is None and not live:
            if not known:
                raise StoreError("The job store is away, and only it knows of this video; try again later.")
            self._check_room()
        await self._kept.keep(state)
        return True

    async def forget(self, video_id: str) -> None:
        """Drop the kept state of a job that another instance has ended or deleted."""
        state = self._kept.get(video_id)
        if state is not None and state.write != "remove":
            await self._kept.drop(state)

    async def restore(self) -> bool:
        """Write all kept states back in order; False when the store fails, or when new states have arrived."""
        async with self._attempt:
            try:
                await self._store.ping()
                if self._heartbeat is not None:
                    await _retried(self._heartbeat.renew)
                for video_id in list(self._refused):
                    await _retried(partial(self._store.delete, video_id, always=True))
                    self._refused.discard(video_id)
                while self._kept:
                    for state in self._kept.in_order():
                        await self._write_back(state)
            except StoreError:
                return False
            if self._kept or self._refused or self._arriving:
                return False
            self._store.returned()
            _log.info("The job store holds all states.")
            return True

    async def close(self) -> None:
        """Try once more to write all states back; the rest stays on disk for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if (self._kept or self._refused) and not await self.restore():
            _log.warning("The job store is away: the states of %d jobs stay on disk.", len(self._kept))
        await self._kept.close()

    def _check_room(self) -> None:
        if len(self._kept) + self._arriving >= self._limit:
            raise StoreError(f"The job store is away, and no more than {self._limit} jobs are kept for it.")

    async def _keep_new(self, state: State) -> None:
        self._check_room()
        self._arriving += 1
        try:
            await self._kept.keep_new(state)
        except OSError as error:
            raise _disk_error(error) from error
        finally:
            self._arriving -= 1
            self._wake_up.set()

    async def _write_back(self, state: State) -> None:
        written = await _retried(partial(self._store.write_back, state))
        if await self._kept.drop(state):
            self._metrics.written_back(state.correlation)
        if written != "written":
            await self._on_superseded(state, written)

    async def _restore_after_failures(self) -> None:
        while True:
            await self._wake_up.wait()
            if self._store.away:
                _log.warning("The job store is away; states are kept until it answers.")
            while not await self._settled() or self._kept.obsolete:
                await self._kept.repair()
                await asyncio.sleep(_INTERVAL)
            self._wake_up.clear()

    async def _settled(self) -> bool:
        try:
            return await self.restore()
        except Exception:  # noqa: BLE001 - without this task nothing would be written back
            _log.exception("Kept states could not be written back; the attempt is repeated")
            return False


def _disk_error(error: OSError) -> StoreError:
    return StoreError(f"The job store is away, and jobs cannot be kept on disk for it ({error.strerror or error}).")


async def _retried(step: Callable[[], Awaitable[_Result]]) -> _Result:
    for _ in range(_ATTEMPTS - 1):
        with suppress(StoreError):
            return await step()
    return await step()
