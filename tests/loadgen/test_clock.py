"""The clock and the time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

import pytest

from reelbench.loadgen.clock import Clock, Deadlines


async def limited(seconds: float, what: Awaitable[object]) -> None:
    with Deadlines().within(seconds):
        await what


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.001])
async def test_a_time_out_ends_the_wait_and_not_the_task(seconds: float) -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(TimeoutError):
        await limited(seconds, asyncio.Event().wait())
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # would raise if a cancellation were left


async def test_no_timer_remains_after_success() -> None:
    await limited(0.005, asyncio.sleep(0))
    await asyncio.sleep(0.02)  # beyond the limit: nothing may happen


async def test_errors_are_raised_unchanged() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await limited(10, fail())


async def test_a_cancellation_from_outside_is_not_a_time_out() -> None:
    task = asyncio.ensure_future(limited(10, asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_has_priority_over_the_time_limit() -> None:
    async def cancelled_twice() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # the limit
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(limited(0, cancelled_twice()))
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_clock_follows_monotonic_time_only() -> None:
    readings = iter([5.0, 7.5])
    clock = Clock(wall=1000.0, anchor=4.0, tick=lambda: next(readings))
    assert [clock.now(), clock.now()] == [1001.0, 1003.5]


def test_a_started_clock_shows_unix_time() -> None:
    before = time.time()
    assert before - 0.01 <= Clock.start().now() <= time.time() + 0.01


async def test_time_limits_share_a_timer_and_each_ends_in_its_time() -> None:
    deadlines, clock, ended = Deadlines(), asyncio.get_running_loop().time, {}

    async def job(name: str, limit: float, work: float) -> None:
        begun = clock()
        try:
            with deadlines.within(limit):
                await asyncio.sleep(work)
        except TimeoutError:
            ended[name] = clock() - begun

    # A later one that is shorter moves the timer; one that ended in time leaves it where it was.
    await asyncio.gather(job("long", 0.3, 90), job("in time", 60, 0.01), job("short", 0.1, 90), job("middle", 0.2, 90))
    assert sorted(ended, key=lambda name: ended[name]) == ["short", "middle", "long"]
    for name, limit in (("short", 0.1), ("middle", 0.2), ("long", 0.3)):
        assert ended[name] >= limit - 0.002
