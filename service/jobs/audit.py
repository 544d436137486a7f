"""What this process holds, what the store knows, what lies on the disk: and where they differ."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
import orjson

from reelbench.service.jobs.queue import Jobs
from reelbench.service.pipeline.assets import CONTENT, Assets
from reelbench.service.store.store import Store
from reelbench.service.toggles import Switches


class State(msgspec.Struct, frozen=True):
    """The body of an answer of ``/v1/admin/state``."""

    object: Literal["state"]
    live: int
    """jobs that wait or run here"""
    unsaved: int
    """jobs whose state waits for the store"""
    orphans: int
    """job folders on the disk without a record in the store"""
    missing: int
    """completed records in the store without their video on the disk"""
    store: Literal["up", "away"]
    switches: dict[str, bool]
    """as they are now"""


class Audit:
    """Counts while jobs come and go: only a difference that is still there after a second look is one."""

    def __init__(self, switches: Switches, jobs: Jobs, store: Store, assets: Assets) -> None:
        self._switches = switches
        self._jobs = jobs
        self._store = store
        self._assets = assets

    async def take(self) -> State:
        """Count; raises StoreError while the store is away."""
        folders = await asyncio.to_thread(self._assets.folders)
        ours = self._jobs.ids()
        ids = await self._store.ids()
        videos = await self._store.last_videos(ids)
        orphans = await self._orphans(folders - ours - set(ids))
        missing = await self._missing(await asyncio.to_thread(_completed, videos))
        return State("state", self._jobs.live, self._jobs.unsaved, orphans, missing, "up", self._switches.values())

    async def _orphans(self, suspects: set[str]) -> int:
        if not suspects:
            return 0
        # A job has its record, or is in our care, before it leaves the other; deletion removes the folder last.
        suspects -= {*await self._store.ids(), *self._jobs.ids()}
        return len(suspects & await asyncio.to_thread(self._assets.folders))

    async def _missing(self, completed: set[str]) -> int:
        suspects = await asyncio.to_thread(self._assets.without, completed, CONTENT)
        if not suspects:
            return 0
        # Deletion removes the record first: without one the file may be gone.
        return len(_completed(await self._store.last_videos(sorted(suspects))))


def _completed(videos: dict[str, bytes]) -> set[str]:
    return {name for name, video in videos.items() if orjson.loads(video)["status"] == "completed"}
