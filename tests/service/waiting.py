"""Waiting for what a test expects; the limits end a test that hangs, and say nothing of speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

LIMIT = 60.0
"""Seconds."""


def until(condition: Callable[..., Any], what: str) -> None:
    """Wait until the condition is true; fail with `what` if it never is."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT:g} s: {what}"
        time.sleep(0.005)


async def loop_until(condition: Callable[..., Any]) -> None:
    """Wait until the condition is true, while the event loop goes on."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another thread
            await asyncio.sleep(0.005)
