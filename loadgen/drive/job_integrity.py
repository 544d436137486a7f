"""Integrity of jobs: downloads compared with their manifest, accepted jobs compared with the service's list."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Literal

import msgspec

from reelbench.loadgen.record.run import StoreCount
from reelbench.loadgen.target.api import Asset, Content, Manifest, Video
from reelbench.loadgen.target.target import Target
from reelbench.loadgen.target.wire import UNTRACED

PAGE = 100
DEADLINE = 15.0
SPARE_PAGES = 50
"""Pages beyond those that the expected jobs fill, for videos of other clients in the list."""
CLOCK_SLACK = 2.0
"""Tolerance in seconds for `created_at`, which has whole seconds of the service's clock."""

Verdict = Literal["ok", "corrupt", "missing"]


class Findings(msgspec.Struct):
    """Findings about the files of one job."""

    _checked: dict[str, bool] = {}
    """Path of each compared file -> whether it matches its manifest entry."""
    _missing: list[str] = []
    _corrupt: list[str] = []

    def check_manifest(self, video_id: str, manifest: Manifest) -> None:
        """Check that the manifest describes this completed job."""
        if manifest.video_id != video_id:
            self._corrupt.append(f"the manifest is that of {manifest.video_id}")
        if manifest.status != "completed":
            self._corrupt.append(f"the manifest says {manifest.status} of a completed video")
        if manifest.content is None:
            self._missing.append("the content")
        self._corrupt += [
            f"scene {number} is completed without its files"
            for number, scene in enumerate(manifest.scenes)
            if scene.complete and (scene.audio is None or scene.visual is None)
        ]

    def compare_content(self, manifest: Manifest, content: Content) -> None:
        """Compare the downloaded video with its entry in the manifest."""
        if manifest.content is not None:
            self.compare(manifest.content, content)

    def compare(self, asset: Asset, found: Content) -> None:
        """Compare a downloaded file with its entry in the manifest."""
        good = (asset.sha256, asset.bytes) == (found.sha256, found.bytes)
        if not good and self._checked.get(asset.path, True):
            self._corrupt.append(f"{asset.path} does not match its checksum")
        self._checked[asset.path] = good and self._checked.get(asset.path, True)

    def missing(self, what: str) -> None:
        """Add something that must exist and does not."""
        self._missing.append(what)

    @property
    def files(self) -> int | None:
        """Number of distinct files compared; None: no file was compared."""
        return len(self._checked) or None

    @property
    def verdict(self) -> Verdict | None:
        """The worst finding; None when no file was compared and none is missing."""
        if self._missing:
            return "missing"
        if self._corrupt:
            return "corrupt"
        return "ok" if self._checked else None

    @property
    def summary(self) -> str | None:
        """All problems in one line of at most 200 characters; None: no problem."""
        if not self._missing and not self._corrupt:
            return None
        problems = [*(f"{what} is missing" for what in self._missing), *self._corrupt]
        return "; ".join(problems)[:200]


async def count_store(target: Target, expected: AbstractSet[str], since: float) -> StoreCount:
    """Count the expected videos in the service's list.

    A job that the list of our service lacks is lost. Another server may show a part of its jobs, or remove jobs that
    have ended: what its list lacks is unknown, and never lost.

    Args:
        target: the service.
        expected: ids of the jobs that were accepted and not deleted.
        since: start of the scenario; the search ends at older videos.
    """
    if target.synchronous or target.found["list"] is False:
        return _unknown(expected, "the server has no list of jobs")
    try:
        async with asyncio.timeout(DEADLINE):
            return await _count(target, expected, since)
    except TimeoutError:
        error = f"the list was not read within {DEADLINE:g} s"
        return StoreCount(expected=len(expected), found=0, by_status={}, error=error)


async def _count(target: Target, expected: AbstractSet[str], since: float) -> StoreCount:
    by_status: Counter[str] = Counter()
    seen: set[str] = set()
    listed: set[str] = set()
    after = None
    for _ in range(len(expected) // PAGE + 1 + SPARE_PAGES):
        reply = await target.list(UNTRACED, limit=PAGE, after=after)
        page = reply.value
        if page is None:
            if target.found["list"] is False:
                return _unknown(expected, f"the server has no list of jobs ({reply.error})")
            return StoreCount(expected=len(expected), found=0, by_status={}, error=reply.error)
        new = [video for video in page.data if video.id not in listed]
        listed.update(video.id for video in new)
        for video in new:
            if video.id in expected and video.id not in seen:
                seen.add(video.id)
                by_status[video.word or video.state] += 1
        # Without has_more, the server is asked on until a page brings nothing new.
        if not new or page.has_more is False or len(seen) == len(expected) or _older(new, since):
            break
        after = page.data[-1].id
    count = StoreCount(
        expected=len(expected),
        found=len(seen),
        by_status={status: by_status[status] for status in sorted(by_status)},
        error=None,
    )
    if len(seen) == len(expected) or target.ours is not False:
        return count
    return await _explained(target, count, sorted(expected - seen))


def _older(videos: list[Video], since: float) -> bool:
    """Return whether a page, newest first, has reached videos from before `since`."""
    first, last = videos[0].created_at, videos[-1].created_at
    return first is not None and last is not None and first >= last and last < since - CLOCK_SLACK


async def _explained(target: Target, count: StoreCount, absent: list[str]) -> StoreCount:
    """Return a count whose list lacks jobs, with the reason: one of these jobs is asked for."""
    look = await target.retrieve(absent[0], UNTRACED)
    if look.value is not None:
        why = f"the list does not show all jobs: it lacks {len(absent)}, of which the server still has the first"
    elif look.status == HTTPStatus.NOT_FOUND:
        why = f"the list lacks {len(absent)} jobs: the server removes jobs that have ended, or it lost them"
    else:
        why = f"the list lacks {len(absent)} jobs, and the first cannot be read ({look.error})"
    return msgspec.structs.replace(count, error=why, offered=False)


def _unknown(expected: AbstractSet[str], why: str) -> StoreCount:
    return StoreCount(expected=len(expected), found=0, by_status={}, error=why, offered=False)
