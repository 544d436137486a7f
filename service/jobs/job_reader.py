"""Reads of jobs: from this process while it runs or keeps them, otherwise from the store."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from pydantic import BaseModel

from reelbench.service.domain.errors import NotFoundError, RequestError
from reelbench.service.domain.job import Job
from reelbench.service.jobs.live_jobs import LiveJobs
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.state import is_terminal
from reelbench.service.store.store import Store

_LOOK_AGAIN = 0.2
"""Seconds between two reads of a job that another instance runs."""
_ENDING = 5.0
"""Most seconds to wait for a job whose end is being stored."""


class JobReader:
    """Reads videos and manifests as JSON; raises NotFoundError for unknown ids, StoreError when the store fails."""

    def __init__(self, live: LiveJobs, backlog: Backlog, store: Store) -> None:
        self._live = live
        self._backlog = backlog
        self._store = store

    async def video(self, video_id: str) -> bytes:
        """Return the video."""
        job = self._live.visible(video_id)
        if job is not None:
            return _json(job.video())
        kept = self._backlog.get(video_id)
        if kept is not None:
            return _known(video_id, None if kept.write == "remove" else kept.video)
        return _known(video_id, await self._store.video(video_id))

    async def ended(self, video_id: str) -> bytes:
        """Return the video; of a job whose end is being stored, its end, which another instance may have shown."""
        await self._stored(video_id)
        return await self.video(video_id)

    async def manifest(self, video_id: str) -> bytes:
        """Return the manifest; of a job whose end is being stored, the last one."""
        await self._stored(video_id)
        job = self._live.visible(video_id)
        if job is not None:
            return _json(job.manifest())
        kept = self._backlog.get(video_id)
        if kept is not None:
            return _known(video_id, None if kept.write == "remove" else kept.manifest)
        return _known(video_id, await self._store.manifest(video_id))

    async def _stored(self, video_id: str) -> None:
        """Wait until the end of a job of this process is visible here, if it may be visible in the store already."""
        job = self._live.visible(video_id)
        if job is not None and job.outcome is not None:
            await _ended(job, _ENDING)

    async def wait(self, video_id: str, limit: float) -> bytes:
        """Return the video when it is terminal, at the latest after `limit` seconds."""
        job = self._live.visible(video_id)
        if job is not None:
            return await _ended(job, limit)
        deadline = asyncio.get_running_loop().time() + limit
        while True:
            video = await self.video(video_id)
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or is_terminal(video):
                return video
            await asyncio.sleep(min(_LOOK_AGAIN, left))

    async def page(self, after: str | None, limit: int, order: str) -> bytes:
        """Return one page of the list of videos."""
        page = await self._store.page(after, limit, descending=order == "desc")
        if page is None:
            message = f"No video with the id '{str(after)[:100]}' given as 'after' was found."
            raise RequestError("invalid_cursor", message, param="after")
        found, more = page
        videos = [video if (job := self._live.visible(name)) is None else _json(job.video()) for name, video in found]
        listing: dict[str, Any] = {
            "object": "list",
            "data": [orjson.Fragment(video) for video in videos],
            "first_id": found[0][0] if found else None,
            "last_id": found[-1][0] if found else None,
            "has_more": more,
        }
        return orjson.dumps(listing)


async def _ended(job: Job, limit: float) -> bytes:
    try:
        async with asyncio.timeout(limit):
            await job.done.wait()
    except TimeoutError:
        pass
    if job.stop_reason == "deleted":
        raise NotFoundError(job.id)
    return _json(job.video())


def _json(record: BaseModel) -> bytes:
    return record.model_dump_json().encode()


def _known(video_id: str, content: bytes | None) -> bytes:
    if content is None:
        raise NotFoundError(video_id)
    return content
