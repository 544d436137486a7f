"""The open loop: each job is sent at its intended start, independent of the jobs before it.

Response time counts from the intended start, so neither a late timer nor the limit of jobs in flight can hide a slow
service (coordinated omission). At the limit, jobs wait here to be admitted. No job is dropped: each job whose intended
start has passed has a record, also when it was cut off or never sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Self

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.stop import Stop, run_unless
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.record.jobs import Outcome

GLANCE = 0.25
"""Longest sleep between two checks for a stop."""


class OpenLoop:
    """Sends the jobs of one open case; use as an asynchronous context manager."""

    def __init__(
        self,
        *,
        jobs: JobRunner,
        scenario: Scenario,
        clock: Clock,
        stop: Stop,
        origin: float,
        seconds: float,
        graceful_stop: float,
        most: int,
    ) -> None:
        """Prepare a case.

        Args:
            jobs: runs the jobs.
            scenario: the scenario of the case.
            clock: decides on instants, as timers may fire early.
            stop: first stage: no more arrivals; second stage: jobs in flight are cut off.
            origin: start of the measured part, from which intended starts count.
            seconds: how long jobs arrive after the origin.
            graceful_stop: seconds after the last arrival at which unfinished jobs are cut off.
            most: limit of jobs in flight.
        """
        self._jobs = jobs
        self._scenario = scenario
        self._clock = clock
        self._stop = stop
        self.origin = origin
        self._arrived = origin + seconds
        self._cut_off = self._arrived + graceful_stop
        self._most = most
        self._running: set[asyncio.Task[None]] = set()
        self._held: deque[tuple[PlannedJob, float]] = deque()
        self._unbegun: dict[int, tuple[PlannedJob, float]] = {}
        """Jobs whose task has not run yet: cancelling such a task leaves no record."""
        self._broken: BaseException | None = None
        self._quiet = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._abort()

    async def finish(self, planned: Iterable[PlannedJob]) -> None:
        """Send the measured jobs, and wait until all are finished or cut off.

        Raises:
            JournalError: the run cannot continue.
        """
        await self.send(planned, self._arrived)
        if self._stop.requested.is_set():
            self._give_up(Outcome.ABORTED, "the run was stopped")
        await self._settle(self._cut_off)
        self._give_up(Outcome.TIMEOUT, "the case was cut off")
        await self._settle(None)
        await self._abort()

    async def send(self, planned: Iterable[PlannedJob], until: float) -> None:
        """Send each job at its intended start, and return at `until`, or at once when the user stops the run.

        Raises:
            JournalError: the run cannot continue.
        """
        for job in planned:
            assert job.intended_start is not None, "the plan of an open case has all intended starts"
            start = self.origin + job.intended_start
            if not await self._reach(start):
                return
            if self._clock.now() >= self._cut_off:  # only when the generator stood still
                self._never_sent(job, start, Outcome.TIMEOUT, "the load generator was too late", held=False)
            elif len(self._running) >= self._most:
                self._held.append((job, start))
            else:
                self._begin(job, start, None)
        await self._reach(until)

    async def _reach(self, instant: float) -> bool:
        """Wait for an instant; return False when the user stops the run first."""
        while self._broken is None and not self._stop.requested.is_set():
            left = instant - self._clock.now()
            if left <= 0:
                return True
            await asyncio.sleep(min(left, GLANCE))
        if self._broken is not None:
            raise self._broken
        return False

    async def _settle(self, deadline: float | None) -> None:
        """Wait until no job is in flight, the deadline has passed, or the user aborts the run."""
        while self._running and self._broken is None and not self._stop.aborted.is_set():
            left = None if deadline is None else deadline - self._clock.now()
            if left is not None and left <= 0:
                return
            self._quiet.clear()
            with suppress(TimeoutError):
                await run_unless(self._stop.aborted, asyncio.wait_for(self._quiet.wait(), left))
        if self._broken is not None:
            raise self._broken

    async def _abort(self) -> None:
        """Cut off the jobs in flight, and record those that have not begun."""
        unfinished = set(self._running)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        if self._broken is None:
            self._give_up(Outcome.ABORTED, "the run was stopped")
            while self._unbegun:
                _, (planned, start) = self._unbegun.popitem()
                self._never_sent(planned, start, Outcome.ABORTED, "the run was stopped", held=False)

    def _begin(self, planned: PlannedJob, start: float, admitted: float | None) -> None:
        self._unbegun[planned.index] = planned, start
        task = asyncio.create_task(self._run(planned, start, admitted))
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def _run(self, planned: PlannedJob, start: float, admitted: float | None) -> None:
        del self._unbegun[planned.index]
        await self._jobs.run(planned, self._scenario, start, admitted=admitted, cut_off_at=self._cut_off)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = self._broken or error
        now = self._clock.now()
        over = self._broken is not None or self._stop.requested.is_set() or now >= self._cut_off
        while self._held and len(self._running) < self._most and not over:
            planned, start = self._held.popleft()
            self._begin(planned, start, now)
        if self._broken is not None or not self._running:
            self._quiet.set()

    def _give_up(self, outcome: Outcome, why: str) -> None:
        """Record the jobs that still wait to be admitted."""
        while self._held:
            planned, start = self._held.popleft()
            self._never_sent(planned, start, outcome, why, held=True)

    def _never_sent(self, planned: PlannedJob, start: float, outcome: Outcome, why: str, *, held: bool) -> None:
        self._jobs.never_sent(planned, self._scenario, start, outcome, held=held, why=why)
