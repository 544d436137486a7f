"""The service's own list of videos after a scenario, compared with the jobs that the client saw accepted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Set as AbstractSet

from opentelemetry.context import Context

from reelbench.loadgen.record.run import StoreCount
from reelbench.loadgen.target.target import Call, Target

PAGE = 100
DEADLINE = 15.0
SPARE_PAGES = 50
"""Pages beyond those that the expected jobs fill, for videos of other clients between them."""
CLOCK_SLACK = 2.0
"""Seconds by which the service may date a video before the scenario's start; `created_at` has whole seconds."""


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
