"""A deliberate memory leak: the positive control of leak detection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from reelbench.service.domain.job import Job


def leaking(run: Callable[[Job], Awaitable[None]], size: int) -> Callable[[Job], Awaitable[None]]:
    """Return `run` with a leak of `size` bytes per job."""
    kept: list[bytes] = []

    async def leak(job: Job) -> None:
        kept.append(b"\x01" * size)  # not zero: pages that were never written take no memory
        await run(job)

    return leak
