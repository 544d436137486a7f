"""The jobs of this process, from their arrival to their end, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from reelbench.service.domain.errors import JobError
from reelbench.service.domain.job import Job, Outcome, StopReason
from reelbench.service.domain.video import Status, VideoError
from reelbench.service.store.assets import Assets
from reelbench.service.store.connection import StoreError
from reelbench.service.store.state import LOST, State, Written, has_content
from reelbench.service.store.store import Store

_log = logging.getLogger(__name__)


class LiveJobs:
    """The registry of the jobs of this process; stops those that other instances have ended or deleted."""

    def __init__(self, store: Store, assets: Assets) -> None:
        self._store = store
        self._assets = assets
        self._jobs: dict[str, Job] = {}
        self._arriving: set[str] = set()

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._jobs or video_id in self._arriving

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    @property
    def arriving(self) -> int:
        """Number of jobs that are not accepted yet."""
        return len(self._arriving)

    @property
    def unfinished(self) -> int:
        """Number of jobs that wait or run."""
        return sum(job.outcome is None for job in self._jobs.values())

    def ids(self) -> frozenset[str]:
        """Return the ids of all jobs, those that are not accepted yet included."""
        return frozenset(self._arriving | self._jobs.keys())

    def get(self, video_id: str) -> Job | None:
        """Return an accepted job that has not left this process."""
        return self._jobs.get(video_id)

    def visible(self, video_id: str) -> Job | None:
        """Return an accepted job that has not left this process and is not deleted."""
        job = self._jobs.get(video_id)
        return None if job is None or job.stop_reason == "deleted" else job

    @contextmanager
    def arrival(self, video_id: str) -> Iterator[None]:
        """Register the id of a job until it is accepted or refused."""
        self._arriving.add(video_id)
        try:
            yield
        finally:
            self._arriving.discard(video_id)

    def add(self, job: Job) -> None:
        """Register an accepted job."""
        self._jobs[job.id] = job

    def remove(self, job: Job) -> None:
        """Remove a job that has ended."""
        del self._jobs[job.id]

    async def has_video(self, video_id: str) -> bool:
        """Return whether the store names a finished video file, which must be kept then; False while it is away."""
        try:
            manifest = await self._store.manifest(video_id)
        except StoreError:
            return False
        return manifest is not None and has_content(manifest)

    async def on_lease_expired(self) -> None:
        """Stop the jobs of this instance that other instances have ended."""
        try:
            ended = await self._store.ended([job.id for job in self if job.outcome is None])
        except StoreError as error:
            _log.warning("Cannot check whether other instances have ended jobs of this instance: %s", error)
            return
        for video_id in ended:
            job = self._jobs.get(video_id)
            if job is not None:
                _log.warning("%s: another instance has ended the job; it is stopped.", video_id)
                job.stop("service_lost")

    async def on_superseded(self, state: State, written: Written) -> None:
        """Stop a job whose kept state the store did not take, and remove files that are of no more use."""
        _log.warning("%s: its kept state is dropped, because the job was %s in the store.", state.id, written)
        job = self._jobs.get(state.id)
        if job is None:
            if written == "deleted" or not await self.has_video(state.id):
                await asyncio.to_thread(self._assets.remove, state.id)
        elif job.outcome is None:
            job.stop(stop_reason(written))
        elif job.stop_reason is None:
            # The job is about to publish another end.
            job.stop_reason = stop_reason(written)


def judge(job: Job) -> tuple[Outcome, VideoError | None]:
    """Return the outcome of a job whose pipeline has ended or was never started."""
    task = job.task
    if task is None or task.cancelled() or job.stop_reason == "service_lost":
        return stopped(job.stop_reason)
    error = task.exception()
    if error is not None and job.stop_reason is not None:
        return stopped(job.stop_reason)
    if error is None:
        return ("completed" if all(scene.complete for scene in job.scenes) else "partial"), None
    if isinstance(error, JobError):
        return "failed", error.record()
    _log.error("%s failed by a defect of the service", job.id, exc_info=error)
    return "failed", VideoError(code="internal_error", message="The service failed to make this video.")


def stopped(reason: StopReason | None) -> tuple[Outcome, VideoError | None]:
    """Return the outcome of a job that was stopped."""
    if reason == "service_lost":
        return "failed", LOST
    if reason == "service_shutdown":
        message = "The service was shut down before the video was complete."
        return "failed", VideoError(code="service_shutdown", message=message)
    return "cancelled", None


def status(outcome: Outcome) -> Status:
    """Return the status of a video with this outcome."""
    return "completed" if outcome in {"completed", "partial"} else "failed"


def stop_reason(written: Written) -> StopReason:
    """Return why a job stops whose state the store did not take."""
    return "deleted" if written == "deleted" else "service_lost"
