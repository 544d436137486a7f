"""The pretended GPU of a fake: a number of slots, a time for each job, and failures at known places."""

from __future__ import annotations

import asyncio

import msgspec

from tests.fakes.clip import BadFile, file
from tests.fakes.truth import End, Job, Truth


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How fast and how well a fake generates."""

    seconds: float = 0.3
    """Generation of one job."""
    seconds_per_step: float = 0.0
    """Added for each inference step."""
    time_scale: float = 1.0
    """Factor on both: 0.01 makes 75 s of 0.75 s."""
    slots: int = 1_000
    """Jobs generated at the same time; the others wait in their order."""
    fail_every: int = 0
    """Every n-th accepted job fails; 0: none."""
    lose_every: int = 0
    """The server loses every n-th accepted job halfway; 0: none."""
    bad_file: BadFile | None = None
    bad_every: int = 1
    """With `bad_file`: every n-th job has the bad file."""
    forget_after: float | None = None
    """Seconds after its end at which the server removes a job by itself."""
    peak_memory_mb: float = 4096.0

    def generation_seconds(self, steps: int) -> float:
        """Return the time for one job of so many steps."""
        return (self.seconds + self.seconds_per_step * steps) * self.time_scale

    def fails(self, number: int) -> bool:
        """Return whether the job of that number fails."""
        return self.fail_every > 0 and number % self.fail_every == 0


class Generation:
    """Runs the jobs of one fake."""

    def __init__(self, load: Load, truth: Truth) -> None:
        self.load = load
        self._truth = truth
        self._slots = asyncio.Semaphore(load.slots)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._files: dict[str, bytes] = {}
        self._over: dict[str, asyncio.Event] = {}

    def start(self, job: Job) -> None:
        """Queue a job."""
        self._over[job.id] = asyncio.Event()
        self._tasks[job.id] = asyncio.create_task(self._run(job))

    async def until_over(self, job: Job) -> None:
        """Wait for the end of a job."""
        await self._over[job.id].wait()

    async def cancel(self, job: Job) -> None:
        """Stop a job that has not ended."""
        self._tasks[job.id].cancel()
        await asyncio.gather(self._tasks[job.id], return_exceptions=True)
        if job.end is None:
            self._finish(job, "cancelled")

    def file(self, job: Job) -> bytes:
        """Return the file of a completed job."""
        return self._files[job.id]

    def drop(self, job: Job) -> None:
        """Remove the file of a job."""
        self._files.pop(job.id, None)

    async def close(self) -> None:
        """Stop everything; jobs that have not ended keep no end."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, job: Job) -> None:
        async with self._slots:
            job.started = self._truth.clock.now()
            seconds = self.load.generation_seconds(job.steps)
            if self.load.lose_every and job.number % self.load.lose_every == 0:
                await asyncio.sleep(seconds / 2)
                job.lost = self._truth.clock.now()
                self._over[job.id].set()
                return
            bad = self.load.bad_file if job.number % self.load.bad_every == 0 else None
            made = asyncio.to_thread(file, job.clip, bad)
            self._files[job.id], _ = await asyncio.gather(made, asyncio.sleep(seconds))
            self._finish(job, "failed" if self.load.fails(job.number) else "completed")
        if self.load.forget_after is not None:
            await asyncio.sleep(self.load.forget_after)
            if job.there:
                job.forgotten = self._truth.clock.now()
                self.drop(job)

    def _finish(self, job: Job, end: End) -> None:
        job.ended, job.end = self._truth.clock.now(), end
        if end != "completed":
            self.drop(job)
        self._over[job.id].set()
