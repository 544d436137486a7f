"""The closed loop: each virtual user sends its next job when its last one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.stop import Stop, run_unless
from reelbench.loadgen.plan.plan import PlannedJob
from reelbench.loadgen.plan.scenario import Scenario


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Virtual users of one closed case, which share the jobs of its plan."""

    jobs: JobRunner
    scenario: Scenario
    clock: Clock
    stop: Stop
    users: int
    """Virtual users, which is the number of jobs in flight."""

    async def run(self, planned: Iterable[PlannedJob], pace: float | None = None) -> None:
        """Send all jobs; return when all have ended or the user stops the run.

        The intended start of a job is the moment its virtual user is free. With a pace, intended starts of one virtual
        user are at least that many seconds apart, and the virtual users start evenly spread over the first interval.

        Raises:
            JournalError: the run cannot continue.
        """
        left = iter(planned)

        async def user(number: int) -> None:
            now, stopped = self.clock.now, self.stop.requested.is_set
            intended_start = now() + (pace or 0.0) * number / self.users
            while not stopped() and (job := next(left, None)) is not None:
                if pace is not None:
                    await self._until(intended_start)
                    if stopped():
                        return
                await self.jobs.run(job, self.scenario, intended_start)
                intended_start = now() if pace is None else max(now(), intended_start + pace)

        async def all_users() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(self.users):
                    group.create_task(user(number))

        try:
            await run_unless(self.stop.aborted, all_users())
        except BaseExceptionGroup as group:  # a virtual user fails only when the run cannot continue
            raise group.exceptions[0] from None

    async def _until(self, instant: float) -> None:
        """Wait for an instant or the end of the run; timers may fire early, so the clock decides."""
        while (left := instant - self.clock.now()) > 0 and not self.stop.requested.is_set():
            await run_unless(self.stop.requested, asyncio.sleep(left))
