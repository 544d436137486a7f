"""The open loop: each job is sent when it is due, whatever became of those before it.

A job's response time counts from when it was due, so nothing that happens afterwards can hide a slow service: neither a
late timer nor the limit of jobs in flight, which makes jobs wait here instead of opening more connections than the
generator can have. No job is dropped: each one that was due has a record, also when it was cut off or never sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from reelbench.loadgen.drive.clock import Clock
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.stop import Stop, run_unless
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.record.jobs import Outcome

GLANCE = 0.25
"""Longest sleep between two looks at whether the user has stopped the run."""


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
        drain: float,
        most: int,
    ) -> None:
        """Prepare a case.

        Args:
            jobs: runs them.
            scenario: they belong to.
            clock: gives the instants; timers may fire early, so it decides.
            stop: once: no arrivals any more; twice: jobs in flight are cut off.
            origin: the instant at which the measured part begins and from which due times count.
            seconds: how long jobs arrive from there on.
            drain: seconds after that at which what is not finished is cut off.
            most: jobs in flight at most.
        """
        self._jobs = jobs
        self._scenario = scenario
        self._clock = clock
        self._stop = stop
        self.origin = origin
        self._arrived = origin + seconds
        self._cut_off = self._arrived + drain
        self._most = most
        self._running: set[asyncio.Task[None]] = set()
        self._held: deque[tuple[PlannedJob, float]] = deque()
        self._unbegun: dict[int, tuple[PlannedJob, float]] = {}
        """Jobs whose task has not run yet: cancelled now, it would leave no record."""
        self._broken: BaseException | None = None
        self._quiet = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._abort()

    async def finish(self, planned: Iterable[PlannedJob]) -> None:
        """Send the measured jobs, and wait until all are finished or cut off.

        Raises:
            JournalError: the run cannot go on.
        """
        await self.send(planned, self._arrived)
        if self._stop.draining.is_set():
            self._give_up(Outcome.ABORTED, "the run was stopped")
        await self._settle(self._cut_off)
        self._give_up(Outcome.TIMEOUT, "the case was cut off")
        await self._settle(None)
        await self._abort()

    async def send(self, planned: Iterable[PlannedJob], until: float) -> None:
        """Send each job at its time, and return at `until`; at once when the user stops the run.

        Raises:
            JournalError: the run cannot go on.
        """
        for job in planned:
            assert job.due is not None, "the jobs of an open case have their times"
            due = self.origin + job.due
            if not await self._reach(due):
                return
            if self._clock.now() >= self._cut_off:  # nobody but a generator that stood still comes here
                self._never_sent(job, due, Outcome.TIMEOUT, "the load generator was too late", held=False)
            elif len(self._running) >= self._most:
                self._held.append((job, due))
            else:
                self._begin(job, due, None)
        await self._reach(until)

    async def _reach(self, instant: float) -> bool:
        """Wait for an instant; False when the user stops the run first."""
        while self._broken is None and not self._stop.draining.is_set():
            left = instant - self._clock.now()
            if left <= 0:
                return True
            await asyncio.sleep(min(left, GLANCE))
        if self._broken is not None:
            raise self._broken
        return False

    async def _settle(self, deadline: float | None) -> None:
        """Wait until no job is in flight: until a deadline at most, or until the user stops the run again."""
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
        """Cut off what is still in flight, and record what has not begun."""
        unfinished = set(self._running)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        if self._broken is None:
            self._give_up(Outcome.ABORTED, "the run was stopped")
            while self._unbegun:
                _, (planned, due) = self._unbegun.popitem()
                self._never_sent(planned, due, Outcome.ABORTED, "the run was stopped", held=False)

    def _begin(self, planned: PlannedJob, due: float, released: float | None) -> None:
        self._unbegun[planned.index] = planned, due
        task = asyncio.create_task(self._run(planned, due, released))
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def _run(self, planned: PlannedJob, due: float, released: float | None) -> None:
        del self._unbegun[planned.index]
        await self._jobs.run(planned, self._scenario, due, released=released, until=self._cut_off)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = self._broken or error
        now = self._clock.now()
        over = self._broken is not None or self._stop.draining.is_set() or now >= self._cut_off
        while self._held and len(self._running) < self._most and not over:
            planned, due = self._held.popleft()
            self._begin(planned, due, now)
        if self._broken is not None or not self._running:
            self._quiet.set()

    def _give_up(self, outcome: Outcome, why: str) -> None:
        """Record what still waits for the limit of jobs in flight."""
        while self._held:
            planned, due = self._held.popleft()
            self._never_sent(planned, due, outcome, why, held=True)

    def _never_sent(self, planned: PlannedJob, due: float, outcome: Outcome, why: str, *, held: bool) -> None:
        self._jobs.never_sent(planned, self._scenario, due, outcome, held=held, why=why)
