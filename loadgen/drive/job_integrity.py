"""Integrity of jobs: downloads compared with their manifest, accepted jobs compared with the service's list."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.context import Context

from reelbench.loadgen.record.records import StoreCount
from reelbench.loadgen.target.api_types import Asset, Manifest
from reelbench.loadgen.target.target import Call, Content, Target

PAGE = 100
DEADLINE = 15.0
SPARE_PAGES = 50
"""Pages beyond those that the expected jobs fill, for videos of other clients between them."""
CLOCK_SLACK = 2.0
"""Seconds by which the service may date a video before the scenario's start; `created_at` has whole seconds."""

Verdict = Literal["ok", "corrupt", "missing"]


@dataclass(slots=True)
class Findings:
    """What the checks of one job found."""

    _checked: dict[str, bool] = field(default_factory=dict)
    """Whether the file was as its manifest says, by path."""
    _missing: list[str] = field(default_factory=list)
    _corrupt: list[str] = field(default_factory=list)

    def check_manifest(self, video_id: str, manifest: Manifest) -> None:
        """Compare the manifest of a completed job with what is known of the job."""
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
            self._corrupt.append(f"{asset.path} is not as its checksum says")
        self._checked[asset.path] = good and self._checked.get(asset.path, True)

    def missing(self, what: str) -> None:
        """Take note of something that is not there although it must be."""
        self._missing.append(what)

    @property
    def files(self) -> int | None:
        """Files compared, each counted once; None when there were none."""
        return len(self._checked) or None

    @property
    def verdict(self) -> Verdict | None:
        """The worst that was found; None when no file was compared and nothing is missing."""
        if self._missing:
            return "missing"
        if self._corrupt:
            return "corrupt"
        return "ok" if self._checked else None

    @property
    def summary(self) -> str | None:
        """One line of at most 200 characters about what is wrong; None when nothing is."""
        problems = [*(f"{what} is missing" for what in self._missing), *self._corrupt]
        return "; ".join(problems)[:200] or None


async def count_store(target: Target, expected: AbstractSet[str], since: float) -> StoreCount:
    """Look up the expected videos in the list, newest first.

    Args:
        target: the service.
        expected: ids of the jobs that were accepted and not deleted.
        since: start of the scenario; the search ends at older videos.
    """
    try:
        async with asyncio.timeout(DEADLINE):
            return await _count(target, expected, since)
    except TimeoutError:
        error = f"the list was not read within {DEADLINE:g} s"
        return StoreCount(expected=len(expected), found=0, by_status={}, error=error)


async def _count(target: Target, expected: AbstractSet[str], since: float) -> StoreCount:
    found: Counter[str] = Counter()
    seen: set[str] = set()
    after = None
    for _ in range(len(expected) // PAGE + 1 + SPARE_PAGES):
        reply = await target.list(
            Call(context=Context(), observe=lambda _: None, traceparent=""), limit=PAGE, after=after
        )
        page = reply.value
        if page is None:
            return StoreCount(expected=len(expected), found=0, by_status={}, error=reply.error)
        for video in page.data:
            if video.id in expected and video.id not in seen:
                seen.add(video.id)
                found[video.status] += 1
        last = page.data[-1] if page.data else None
        if last is None or not page.has_more or len(seen) == len(expected) or last.created_at < since - CLOCK_SLACK:
            break
        after = last.id
    return StoreCount(
        expected=len(expected), found=len(seen), by_status={word: found[word] for word in sorted(found)}, error=None
    )
