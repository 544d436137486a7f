"""The time limit: it ends what takes too long, and stays out of the way of other cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from reelbench.loadgen.clock import Deadline


@pytest.fixture(params=[Deadline, asyncio.timeout], ids=["ours", "asyncio's"])
def limited(request: pytest.FixtureRequest) -> Callable[[float, Awaitable[object]], Awaitable[None]]:
    """Await something within a limit, by ours or by the reference."""

    async def within(seconds: float, what: Awaitable[object]) -> None:
        if request.param is Deadline:
            with Deadline(seconds):
                await what
        else:
            async with asyncio.timeout(seconds):
                await what

    return within


Limited = Callable[[float, Awaitable[object]], Awaitable[None]]


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.001])
async def test_what_takes_longer_ends_with_a_time_out_and_the_task_goes_on(limited: Limited, seconds: float) -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(TimeoutError):
        await limited(seconds, asyncio.Event().wait())
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # would raise if a cancellation were left


async def test_what_ends_in_time_leaves_no_timer_behind(limited: Limited) -> None:
    await limited(0.005, asyncio.sleep(0))
    await asyncio.sleep(0.02)  # beyond the limit: nothing may happen


async def test_errors_pass(limited: Limited) -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await limited(10, fail())


async def test_a_cancellation_from_outside_is_no_time_out(limited: Limited) -> None:
    task = asyncio.ensure_future(limited(10, asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_goes_before_the_limit(limited: Limited) -> None:
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
