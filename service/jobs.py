"""The queue of jobs: admission, workers, cancellation, and one truthful end for every accepted job."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextvars import copy_context

from opentelemetry.trace import StatusCode, Tracer, use_span

from service.assets import Assets
from service.clock import Clock
from service.correlation import Correlation, Correlations
from service.errors import ApiError, not_found
from service.job import Job, JobError, Outcome, StopReason, Upload
from service.metrics import Metrics
from service.schemas import CreateVideo, VideoError
from service.store import Store, StoreError

_log = logging.getLogger(__name__)
_MICROSECONDS = 1_000_000


class Jobs:
    """Runs at most `workers` jobs at once and lets at most `queue_size` wait; all in one event loop."""

    def __init__(
        self,
        run: Callable[[Job], Awaitable[None]],
        *,
        workers: int,
        queue_size: int,
        job_timeout: float,
        store: Store,
        assets: Assets,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._run = run
        self._workers = workers
        self._queue_size = queue_size
        self._job_timeout = job_timeout
        self._store = store
        self._assets = assets
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock
        self._correlations = Correlations()
        self._live: dict[str, Job] = {}
        self._waiting: dict[str, Job] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._arriving: set[str] = set()
        self._sequence = 0
        self.closing = False
        """Whether the service is shutting down."""

    def get(self, video_id: str) -> Job | None:
        """The job, while this process is responsible for it."""
        job = self._live.get(video_id)
        return None if job is None or job.stop_reason == "deleted" else job

    @property
    def live(self) -> int:
        """Jobs that wait or run here."""
        return sum(job.outcome is None for job in self._live.values())

    @property
    def unsaved(self) -> int:
        """Jobs that have ended here while the store does not know it."""
        return sum(job.done.is_set() for job in self._live.values())

    def ids(self) -> frozenset[str]:
        """The jobs that this process is responsible for, those included that it has not accepted yet."""
        return frozenset(self._arriving | self._live.keys())

    async def create(self, request: CreateVideo, store_upload: Callable[[str], Awaitable[Upload | None]]) -> Job:
        """Accept a job, or raise ApiError; `store_upload` stores and checks the document of the new job's id."""
        correlation = self._correlations.read()
        self._admit(correlation)
        video_id = f"video_{secrets.token_hex(16)}"
        self._arriving.add(video_id)
        try:
            await asyncio.to_thread(self._assets.create, video_id)
            upload = await store_upload(video_id)
            job = self._new(video_id, request, upload, correlation)
            await self._store.add(video_id, job.sequence, *_state(job))
        except BaseException as error:
            await asyncio.shield(asyncio.to_thread(self._assets.remove, video_id))
            if isinstance(error, StoreError):
                self._metrics.rejected("store_unavailable", correlation)
            raise
        finally:
            self._arriving.discard(video_id)
        self._metrics.accepted(correlation)
        self._metrics.active("queued", 1)
        self._live[video_id] = self._waiting[video_id] = job
        if self.closing:
            job.stop("service_shutdown")
            await self._end(job, *_stopped("service_shutdown"))
        self._dispatch()
        return job

    async def delete(self, video_id: str) -> bool:
        """Cancel the job if it has not ended, and remove every trace of it; 404 for unknown ids.

        Returns whether it was cancelled; one that had ended was not, nor one that came to its end all the same.
        """
        asked = self._clock.now()
        cancelled = False
        job = self.get(video_id)
        if job is not None:
            await self._stop(job, "deleted")
            cancelled = job.outcome == "cancelled"
            if cancelled:
                self._metrics.cancelled(self._clock.now() - asked, job.correlation)
        elif video_id in self._live:
            raise not_found(video_id)
        known = await self._store.remove(video_id)
        await asyncio.to_thread(self._assets.remove, video_id)
        if not known:
            raise not_found(video_id)
        return cancelled

    async def close(self) -> None:
        """Accept nothing more and end all jobs; they are failed with the code "service_shutdown"."""
        self.closing = True
        await asyncio.gather(*(self._stop(job, "service_shutdown") for job in list(self._live.values())))

    def _admit(self, correlation: Correlation) -> None:
        if self.closing:
            self._metrics.rejected("service_shutdown", correlation)
            raise ApiError(503, "service_shutdown", "The service is shutting down.", retry_after=1)
        if len(self._waiting) + len(self._running) + len(self._arriving) >= self._workers + self._queue_size:
            self._metrics.rejected("queue_full", correlation)
            raise ApiError(
                429,
                "queue_full",
                f"All {self._workers} workers are busy and {self._queue_size} jobs wait; try again later.",
                retry_after=1,
            )

    def _new(self, video_id: str, request: CreateVideo, upload: Upload | None, correlation: Correlation) -> Job:
        now = self._clock.now()
        # Microseconds, made strictly ascending: the order of creation, also within one tick of the clock.
        self._sequence = max(self._sequence + 1, int(now * _MICROSECONDS))
        attributes = {"video.id": video_id, **correlation.attributes()}
        span = self._tracer.start_span("video.job", attributes=attributes)
        with use_span(span):
            # The worker runs in this context: the creating request's trace and baggage, and the job's span.
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
            )

    def _dispatch(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            job = self._waiting.pop(next(iter(self._waiting)))
            task = asyncio.get_running_loop().create_task(self._work(job), context=job.context)
            self._running.add(task)
            task.add_done_callback(self._ended_work)

    def _ended_work(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._dispatch()

    async def _work(self, job: Job) -> None:
        job.started = self._clock.now()
        job.queue_span.end()
        self._metrics.queued(job.started - job.created, job.correlation)
        self._metrics.active("queued", -1)
        self._metrics.active("running", 1)
        job.status = "in_progress"
        if job.stop_reason is None:
            # A task of its own is what cancellation hits, so that this one always gets to the job's end.
            job.task = asyncio.create_task(self._make(job))
            await asyncio.wait({job.task})
        await self._end(job, *self._judge(job))

    async def _make(self, job: Job) -> None:
        try:
            if not await self._store.update(job.id, *_state(job)):
                job.stop_reason = "deleted"
                raise asyncio.CancelledError
        except StoreError as error:
            _log.warning("%s: %s The job runs all the same.", job.id, error)
        try:
            async with asyncio.timeout(self._job_timeout):
                await self._run(job)
        except TimeoutError as error:
            raise JobError("job_timeout", f"The job did not end in {self._job_timeout:g} s.") from error

    def _judge(self, job: Job) -> tuple[Outcome, VideoError | None]:
        task = job.task
        if task is None or task.cancelled():
            return _stopped(job.stop_reason)
        error = task.exception()
        if error is not None and job.stop_reason is not None:
            return _stopped(job.stop_reason)
        if error is None:
            return ("completed" if all(scene.complete for scene in job.scenes) else "partial"), None
        if isinstance(error, JobError):
            return "failed", error.record()
        _log.error("%s failed by a defect of the service", job.id, exc_info=error)
        return "failed", VideoError(code="internal_error", message="The service failed to make this video.")

    async def _end(self, job: Job, outcome: Outcome, error: VideoError | None) -> None:
        """Count and record the end first, show it to clients last: then their counts and ours agree at any time."""
        job.ended = self._clock.now()
        job.outcome = outcome
        job.error = error
        job.status = "completed" if outcome in {"completed", "partial"} else "failed"
        self._metrics.ended(outcome, job.ended - job.created, job.correlation)
        self._metrics.active("queued" if job.started is None else "running", -1)
        job.span.set_attribute("video.job.outcome", outcome)
        if error is not None:
            job.span.set_attribute("error.type", error.code)
            job.span.set_status(StatusCode.ERROR, error.message)
        job.span.end()
        try:
            if job.stop_reason == "deleted" or not await self._store.update(job.id, *_state(job)):
                await asyncio.to_thread(self._assets.remove, job.id)
        except StoreError as failure:
            # It stays in this process's care, so that clients are told the truth here at least.
            _log.warning("%s: %s Its end is known to this process only.", job.id, failure)
        else:
            del self._live[job.id]
        finally:
            job.done.set()

    async def _stop(self, job: Job, reason: StopReason) -> None:
        job.stop(reason)
        if self._waiting.pop(job.id, None) is not None:
            job.queue_span.end()
            await self._end(job, *_stopped(reason))
        await job.done.wait()


def _stopped(reason: StopReason | None) -> tuple[Outcome, VideoError | None]:
    if reason == "service_shutdown":
        message = "The service was shut down before the video was complete."
        return "failed", VideoError(code="service_shutdown", message=message)
    return "cancelled", None


def _state(job: Job) -> tuple[bytes, bytes]:
    return job.video().model_dump_json().encode(), job.manifest().model_dump_json().encode()
