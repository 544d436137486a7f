"""Stages of a stop, by real signals to this process."""

import asyncio
import signal

from reelbench.loadgen.drive.stop import Stop


async def test_each_signal_is_the_next_stage_of_a_stop() -> None:
    stop, said = Stop(graceful_seconds=7), list[str]()
    with stop.on_signals(said.append):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(stop.requested.wait(), 5)
        assert (stop.aborted.is_set(), len(said)) == (False, 1)
        signal.raise_signal(signal.SIGINT)
        await asyncio.wait_for(stop.aborted.wait(), 5)
    assert said == [
        "no new jobs; waiting up to 7 s for those in flight (again: stop now)",
        "stopping now; jobs in flight are recorded as aborted",
    ]
    assert not stop.released.is_set()


async def test_a_signal_after_the_end_of_the_run_stops_nothing_and_ends_the_wait() -> None:
    stop, said = Stop(), list[str]()
    with stop.on_signals(said.append):
        stop.end()
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(stop.released.wait(), 5)
    assert (stop.requested.is_set(), stop.aborted.is_set(), said) == (False, False, [])
