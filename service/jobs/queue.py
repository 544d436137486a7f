"""The queue of jobs: admission, workers, cancellation, and exactly one terminal state per accepted job."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import replace

from opentelemetry.trace import StatusCode, Tracer, use_span

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import JobError, NotFoundError, QueueFullError, ShutdownError, StorageError
from reelbench.service.domain.generation import CreateVideo
from reelbench.service.domain.job import Job, Outcome, StopReason, Upload
from reelbench.service.domain.video import VideoError
from reelbench.service.jobs.live_jobs import LiveJobs, judge, status, stop_reason, stopped
from reelbench.service.jobs.retention import KeptJobs
from reelbench.service.metrics import Metrics
from reelbench.service.settings import Settings
from reelbench.service.store.assets import Assets
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.connection import StoreError
from reelbench.service.store.leases import Heartbeat
from reelbench.service.store.state import State, has_content, removal
from reelbench.service.store.store import Store

_log = logging.getLogger(__name__)
_MICROSECONDS = 1_000_000
_NANOSECONDS = 1_000_000_000
_DROPPED = frozenset({"deleted", "service_lost"})
"""Stop reasons after which this process keeps nothing of the job."""


class JobQueue:
    """Bounds the running and the waiting jobs; all in one event loop.

    `heartbeat` is None when no other instance can reach the store.
    """

    def __init__(
        self,
        run: Callable[[Job], Awaitable[None]],
        live: LiveJobs,
        settings: Settings,
        *,
        store: Store,
        backlog: Backlog,
        heartbeat: Heartbeat | None,
        assets: Assets,
        kept: KeptJobs,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._run = run
        self._live = live
        self._workers = settings.workers
        self._queue_size = settings.queue_size
        self._job_timeout = settings.job_timeout
        self._peak_memory_mb = settings.peak_memory_mb or None
        self._store = store
        self._backlog = backlog
        self._heartbeat = heartbeat
        self._assets = assets
        self._kept = kept
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock
        self._correlations = metrics.correlations
        self._waiting: dict[str, Job] = {}
        self._running: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sequence = 0
        self._closing = False

    async def open(self) -> None:
        """Fail the jobs that earlier processes left unfinished, and remove their files."""
        for state in await self._backlog.open():
            if not has_content(state.manifest) and not await self._live.has_video(state.id):
                await asyncio.to_thread(self._assets.remove, state.id)

    async def check(self) -> None:
        """Raise RequestError or StoreError unless jobs can be accepted."""
        if self._closing:
            raise ShutdownError
        await self._backlog.check()

    def owns(self, video_id: str) -> bool:
        """Return whether this process works on a job or keeps its state for the store."""
        return video_id in self._live or self._backlog.get(video_id) is not None

    async def create(
        self,
        request: CreateVideo,
        store_upload: Callable[[str], Awaitable[Upload | None]],
        *,
        remixed_from: str | None = None,
    ) -> Job:
        """Accept a job, or raise RequestError; `store_upload` stores and checks the upload for the new id."""
        self._admit(self._correlations.read())
        correlation = self._correlations.admit()
        video_id = f"video_{secrets.token_hex(16)}"
        with self._live.arrival(video_id):
            try:
                upload = await self._receive(video_id, store_upload)
                job = self._new(video_id, request, upload, correlation, remixed_from)
                await self._backlog.add(_state(job))
            except BaseException as error:
                await asyncio.shield(asyncio.to_thread(self._assets.remove, video_id))
                if isinstance(error, StoreError):
                    self._metrics.rejected("store_unavailable", correlation)
                elif isinstance(error, StorageError):
                    self._metrics.rejected(error.code, correlation)
                self._correlations.release(correlation)
                raise
        self._metrics.accepted(correlation)
        self._metrics.active("queued", 1)
        self._live.add(job)
        self._waiting[video_id] = job
        task = asyncio.get_running_loop().create_task(self._work(job), context=job.context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._closing:
            await self._stop(job, "service_shutdown")
        self._dispatch()
        return job

    async def delete(self, video_id: str) -> bool:
        """Cancel the job if it has not ended, and remove its record and its files; NotFoundError for unknown ids.

        Return True when the job was cancelled, False when it had ended or ended before the cancellation took effect.
        """
        asked = self._clock.now()
        cancelled = False
        job = self._live.visible(video_id)
        if job is not None:
            await self._stop(job, "deleted")
            cancelled = job.outcome == "cancelled"
            if cancelled:
                self._metrics.cancelled(self._clock.now() - asked, job.correlation)
        elif self._live.get(video_id) is not None:
            raise NotFoundError(video_id)
        kept = self._backlog.get(video_id)
        known = await self._backlog.remove(
            removal(
                video_id,
                job.sequence if job else kept.sequence if kept else 0,
                job.correlation if job else kept.correlation if kept else Correlation(),
            ),
            live=job is not None,
            # A job whose files are on the disk exists, even if the store cannot be asked.
            known=self._backlog.away and await asyncio.to_thread(self._assets.exists, video_id),
        )
        await asyncio.to_thread(self._assets.remove, video_id)
        self._kept.remove(video_id)
        if not known:
            raise NotFoundError(video_id)
        return cancelled

    async def close(self) -> None:
        """Accept no more jobs and fail the unfinished ones with the code "service_shutdown"."""
        self._closing = True
        await asyncio.gather(*(self._stop(job, "service_shutdown") for job in self._live))

    async def _receive(self, video_id: str, store_upload: Callable[[str], Awaitable[Upload | None]]) -> Upload | None:
        try:
            await asyncio.to_thread(self._assets.create, video_id)
            return await store_upload(video_id)
        except OSError as error:
            _log.error("%s: its files cannot be stored: %s", video_id, error)
            raise StorageError(error.strerror or type(error).__name__) from error

    def _admit(self, correlation: Correlation) -> None:
        if self._closing:
            self._metrics.rejected("service_shutdown", correlation)
            raise ShutdownError
        if len(self._waiting) + len(self._running) + self._live.arriving >= self._workers + self._queue_size:
            self._metrics.rejected("queue_full", correlation)
            raise QueueFullError(
                "queue_full", f"All {self._workers} workers are busy and {self._queue_size} jobs wait; try again later."
            )

    def _new(
        self,
        video_id: str,
        request: CreateVideo,
        upload: Upload | None,
        correlation: Correlation,
        remixed_from: str | None,
    ) -> Job:
        now = self._clock.now()
        # Strictly ascending microseconds: the order of creation, even within one tick of the clock.
        self._sequence = max(self._sequence + 1, int(now * _MICROSECONDS))
        attributes = {"video.id": video_id, **correlation.attributes()}
        span = self._tracer.start_span("video.job", attributes=attributes)
        with use_span(span):
            # The worker runs in this context: the trace and the baggage of the request, and the span of the job.
            return Job(
                id=video_id,
                sequence=self._sequence,
                request=request,
                upload=upload,
                correlation=correlation,
                context=copy_context(),
                span=span,
                queue_span=self._tracer.start_span("video.job.queue", attributes=correlation.attributes()),
                created=now,
                remixed_from=remixed_from,
                peak_memory_mb=self._peak_memory_mb,
            )

    def _dispatch(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            job = self._waiting.pop(next(iter(self._waiting)))
            if job.stop_reason is None:
                self._running.add(job.id)
                job.left_queue.set()

    async def _work(self, job: Job) -> None:
        """Wait for a worker, then run the job to its end; or end the job when it is stopped while it waits."""
        await job.left_queue.wait()
        job.queue_span.end()
        if job.id not in self._running:
            self._waiting.pop(job.id, None)
            await self._end(job, *stopped(job.stop_reason))
            return
        try:
            await self._process(job)
        finally:
            self._running.discard(job.id)
            self._dispatch()

    async def _process(self, job: Job) -> None:
        job.started = self._clock.now()
        self._metrics.queued(job.started - job.created, job.correlation)
        self._metrics.active("queued", -1)
        self._metrics.active("running", 1)
        job.status = "in_progress"
        if job.stop_reason is None:
            # Cancellation hits this inner task only, so the outer one always ends the job.
            job.task = asyncio.create_task(self._make(job))
            await asyncio.wait({job.task})
        try:
            # While the store is away no instance can have ended the job; the write-back finds out later.
            if self._heartbeat is not None and self._heartbeat.lapsed and not self._store.away:
                await self._live.on_lease_expired()
        finally:
            await self._end(job, *judge(job))

    async def _make(self, job: Job) -> None:
        written = await self._backlog.update(_state(job))
        if written != "written":
            job.stop_reason = stop_reason(written)
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(self._job_timeout):
                await self._run(job)
        except TimeoutError as error:
            raise JobError("job_timeout", f"The job did not end in {self._job_timeout:g} s.") from error

    async def _end(self, job: Job, outcome: Outcome, error: VideoError | None) -> None:
        """Store the end, then count it, then publish it: counts of clients never run ahead of those of the service."""
        job.outcome = outcome
        ended = self._clock.now()
        try:
            if job.stop_reason not in _DROPPED:
                last = replace(job, status=status(outcome), error=error, ended=ended)
                written = await self._backlog.update(_state(last))
                if written != "written" and job.stop_reason is None:
                    job.stop_reason = stop_reason(written)
            if job.stop_reason in _DROPPED:
                await self._backlog.forget(job.id)
                await asyncio.to_thread(self._assets.remove, job.id)
            if job.stop_reason == "service_lost":
                outcome, error = stopped("service_lost")
        finally:
            self._count(job, outcome, error, ended)
            job.ended, job.outcome, job.error, job.status = ended, outcome, error, status(outcome)
            self._live.remove(job)
            if job.stop_reason not in _DROPPED:
                self._kept.add(job.id, ended, _size(job))
            job.done.set()

    def _count(self, job: Job, outcome: Outcome, error: VideoError | None, ended: float) -> None:
        self._metrics.ended(outcome, ended - job.created, job.correlation)
        self._metrics.active("queued" if job.started is None else "running", -1)
        self._correlations.release(job.correlation)
        job.span.set_attribute("video.job.outcome", outcome)
        if error is not None:
            job.span.set_attribute("error.type", error.code)
            job.span.set_status(StatusCode.ERROR, error.message)
        job.span.end(int(ended * _NANOSECONDS))

    @staticmethod
    async def _stop(job: Job, reason: StopReason) -> None:
        job.stop(reason)
        await job.done.wait()


def _size(job: Job) -> int:
    """Return the bytes of the files of a job."""
    scenes = [asset for scene in job.scenes for asset in (scene.audio, scene.visual)]
    files = [job.upload.asset if job.upload else None, job.content, *scenes]
    return sum(asset.bytes for asset in files if asset is not None)


def _state(job: Job) -> State:
    return State(
        id=job.id,
        sequence=job.sequence,
        write="add" if job.status == "queued" else "update",
        video=job.video().model_dump_json().encode(),
        manifest=job.manifest().model_dump_json().encode(),
        terminal=job.outcome is not None,
        correlation=job.correlation,
    )
