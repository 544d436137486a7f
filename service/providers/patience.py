"""Waiting while a client waits."""

from __future__ import annotations

import asyncio

from fastapi import Request


async def wait(request: Request, seconds: float, over: asyncio.Event | None = None) -> None:
    """Wait so many seconds, or until the client goes away or `over` is set; the body must have been read."""
    ends = [asyncio.create_task(_gone(request))]
    if over is not None:
        ends.append(asyncio.create_task(over.wait()))
    try:
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


async def _gone(request: Request) -> bool:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return True
