"""Differences between the jobs of this process, the records in the store and the files on the disk."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
import orjson

from reelbench.service.jobs.live_jobs import LiveJobs
from reelbench.service.settings import Toggles
from reelbench.service.store.assets import CONTENT, Assets
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.store import Store


class State(msgspec.Struct, frozen=True):
    """The body of a response of ``/v1/admin/state``."""

    object: Literal["state"]
    live: int
    """jobs that wait or run in this process"""
    unsaved: int
    """jobs whose latest state is not in the store yet"""
    orphans: int
    """job folders on the disk without a record in the store"""
    missing: int
    """completed records in the store without their video on the disk"""
    store: Literal["up", "away"]
    switches: dict[str, bool]
    """the current toggles"""


class Audit:
    """Counts differences while jobs come and go: a difference counts only if a second check confirms it."""

    def __init__(self, toggles: Toggles, live: LiveJobs, backlog: Backlog, store: Store, assets: Assets) -> None:
        self._toggles = toggles
        self._live = live
        self._backlog = backlog
        self._store = store
        self._assets = assets

    async def take(self) -> State:
        """Return the counts; raises StoreError while the store is away."""
        folders = await asyncio.to_thread(self._assets.folders)
        ours = self._ours()
        ids = await self._store.ids()
        videos = await self._store.last_videos(ids)
        orphans = await self._orphans(folders - ours - set(ids))
        missing = await self._missing(await asyncio.to_thread(_completed, videos))
        live, unsaved = self._live.unfinished, len(self._backlog)
        return State("state", live, unsaved, orphans, missing, "up", self._toggles.values())

    def _ours(self) -> frozenset[str]:
        return self._live.ids() | self._backlog.ids()

    async def _orphans(self, suspects: set[str]) -> int:
        if not suspects:
            return 0
        # A job is in the store or in this process at every moment; a deletion removes the folder last.
        suspects -= {*await self._store.ids(), *self._ours()}
        return len(suspects & await asyncio.to_thread(self._assets.folders))

    async def _missing(self, completed: set[str]) -> int:
        suspects = await asyncio.to_thread(self._assets.without, completed, CONTENT)
        if not suspects:
            return 0
        # A deletion removes the record first: a file without a record may be gone.
        return len(_completed(await self._store.last_videos(sorted(suspects))))


def _completed(videos: dict[str, bytes]) -> set[str]:
    return {name for name, video in videos.items() if orjson.loads(video)["status"] == "completed"}
