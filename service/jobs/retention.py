"""How long ended jobs are kept: by age, number and bytes, in the store and on the disk of this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.errors import NotFoundError
from reelbench.service.settings import Settings
from reelbench.service.store.assets import Assets
from reelbench.service.store.connection import StoreError
from reelbench.service.store.store import Store

_log = logging.getLogger(__name__)
_INTERVAL = 5.0
"""Seconds between two sweeps."""


class KeptJobs:
    """The ended jobs of this disk with their bytes, oldest first."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[float, int]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, video_id: str, ended: float, size: int) -> None:
        """Add a job that ended at `ended` (Unix seconds)."""
        self.remove(video_id)
        self._jobs[video_id] = ended, size
        self.bytes += size

    def remove(self, video_id: str) -> None:
        """Remove a job, if it is there."""
        _, size = self._jobs.pop(video_id, (0.0, 0))
        self.bytes -= size

    def expired(self, *, since: float, most: int, most_bytes: int) -> list[str]:
        """Return the jobs to remove: those that ended before `since`, and the oldest above the limits."""
        found = []
        left, size = len(self._jobs), self.bytes
        for video_id, (ended, own) in self._jobs.items():
            if ended >= since and left <= most and size <= most_bytes:
                break
            found.append(video_id)
            left, size = left - 1, size - own
        return found


class Retention:
    """Removes ended jobs beyond the limits of `settings`, until `close`.

    `delete` removes a job, its record and its files. Of records whose files are elsewhere, only old ones are removed.
    """

    def __init__(
        self,
        settings: Settings,
        kept: KeptJobs,
        *,
        delete: Callable[[str], Awaitable[bool]],
        owns: Callable[[str], bool],
        store: Store,
        assets: Assets,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._kept = kept
        self._delete = delete
        self._owns = owns
        self._store = store
        self._assets = assets
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find the jobs that earlier processes left on the disk, and sweep from now on."""
        for video_id, changed, size in await asyncio.to_thread(self._assets.sizes):
            self._kept.add(video_id, changed, size)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def sweep(self) -> int:
        """Remove what is beyond the limits; return the number of jobs; raises StoreError."""
        since = self._clock.now() - self._settings.keep_seconds
        limits = self._settings
        found = self._kept.expired(since=since, most=limits.keep_jobs, most_bytes=limits.keep_bytes)
        found += await self._store.before(since - limits.job_timeout)  # a job may run as long as this
        removed = 0
        for video_id in dict.fromkeys(found):
            if not self._owns(video_id):  # a job that runs, or whose state waits for the store
                await self._remove(video_id)
                removed += 1
        return removed

    async def _remove(self, video_id: str) -> None:
        try:
            await self._delete(video_id)
        except NotFoundError:  # files without a record
            self._kept.remove(video_id)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            if self._store.away:
                continue
            try:
                if removed := await self.sweep():
                    _log.info("%d ended jobs are removed: SERVICE_KEEP_SECONDS, _JOBS and _BYTES.", removed)
            except StoreError as error:
                _log.warning("Ended jobs were not removed: %s", error)
            except Exception:  # noqa: BLE001 - without this task the disk would fill up
                _log.exception("The removal of ended jobs failed and is repeated")
