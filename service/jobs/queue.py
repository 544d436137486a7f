"""The queue of jobs: admission, workers, cancellation, and one truthful end for every accepted job."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import replace

from opentelemetry.trace import StatusCode, Tracer, use_span

from reelbench.service.api.errors import ApiError, not_found
from reelbench.service.api.schemas import CreateVideo, Status, VideoError
from reelbench.service.clock import Clock
from reelbench.service.jobs.correlation import Correlation, Correlations
from reelbench.service.jobs.job import Job, JobError, Outcome, StopReason, Upload
from reelbench.service.metrics import Metrics
from reelbench.service.pipeline.assets import Assets
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.leases import Leases
from reelbench.service.store.state import LOST, State, Written, has_content, removal
from reelbench.service.store.store import Store, StoreError

_log = logging.getLogger(__name__)
_MICROSECONDS = 1_000_000
_NANOSECONDS = 1_000_000_000
_DROPPED = frozenset({"deleted", "service_lost"})
"""Reasons to stop after which nothing of the job stays here."""
_STORAGE = "storage_unavailable"


class Jobs:
    """Runs at most `workers` jobs at once and lets at most `queue_size` wait; all in one event loop.

    `leases` is None when no other instance can reach the store.
    """

    def __init__(
        self,
        run: Callable[[Job], Awaitable[None]],
        *,
        workers: int,
        queue_size: int,
        job_timeout: float,
        store: Store,
        backlog: Backlog,
        leases: Leases | None,
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
        self._backlog = backlog
        self._leases = leases
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
        backlog.superseded = self._superseded
        if leases is not None:
            leases.works_on = self._works_on
            leases.reborn = self._look_for_ended

    @property
    def unsaved(self) -> int:
        """Jobs whose latest state waits for the store."""
        return len(self._backlog)

    async def open(self) -> None:
        """End the jobs that an earlier process has left behind for the store."""
        for state in await self._backlog.open():
            if not has_content(state.manifest) and not await self._made(state.id):
                await asyncio.to_thread(self._assets.remove, state.id)

    async def check(self) -> None:
        """Raise ApiError or StoreError unless jobs can be accepted."""
        if self.closing:
            raise ApiError(503, "service_shutdown", "The service is shutting down.", retry_after=1)
        await self._backlog.check()

    def get(self, video_id: str) -> Job | None:
        """The job, while this process is responsible for it."""
        job = self._live.get(video_id)
        return None if job is None or job.stop_reason == "deleted" else job

    @property
    def live(self) -> int:
        """Jobs that wait or run here."""
        return sum(job.outcome is None for job in self._live.values())

    def ids(self) -> frozenset[str]:
        """The jobs that this process is responsible for, those included that it has not accepted yet."""
        return frozenset(self._arriving | self._live.keys() | self._backlog.ids())

    def kept(self, video_id: str) -> State | None:
        """What is kept here of a job for the store."""
        return self._backlog.get(video_id)

    async def create(self, request: CreateVideo, store_upload: Callable[[str], Awaitable[Upload | None]]) -> Job:
        """Accept a job, or raise ApiError; `store_upload` stores and checks the document of the new job's id."""
        correlation = self._correlations.read()
        self._admit(correlation)
        video_id = f"video_{secrets.token_hex(16)}"
        self._arriving.add(video_id)
        try:
            upload = await self._receive(video_id, store_upload)
            job = self._new(video_id, request, upload, correlation)
            await self._backlog.add(_state(job))
        except BaseException as error:
            await asyncio.shield(asyncio.to_thread(self._assets.remove, video_id))
            if isinstance(error, StoreError):
                self._metrics.rejected("store_unavailable", correlation)
            elif isinstance(error, ApiError) and error.code == _STORAGE:
                self._metrics.rejected(_STORAGE, correlation)
            raise
        finally:
            self._arriving.discard(video_id)
        self._metrics.accepted(correlation)
        self._metrics.active("queued", 1)
        self._live[video_id] = self._waiting[video_id] = job
        if self.closing:
            await self._ask(job, "service_shutdown")
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
        kept = self.kept(video_id)
        known = await self._backlog.remove(
            removal(
                video_id,
                job.sequence if job else kept.sequence if kept else 0,
                job.correlation if job else kept.correlation if kept else Correlation(),
            ),
            live=job is not None,
            # What lies on the disk exists, whatever the store would say.
            known=self._backlog.away and await asyncio.to_thread(self._assets.exists, video_id),
        )
        await asyncio.to_thread(self._assets.remove, video_id)
        if not known:
            raise not_found(video_id)
        return cancelled

    async def close(self) -> None:
        """Accept nothing more and end all jobs; they are failed with the code "service_shutdown"."""
        self.closing = True
        await asyncio.gather(*(self._stop(job, "service_shutdown") for job in list(self._live.values())))

    async def _receive(self, video_id: str, store_upload: Callable[[str], Awaitable[Upload | None]]) -> Upload | None:
        try:
            await asyncio.to_thread(self._assets.create, video_id)
            return await store_upload(video_id)
        except OSError as error:
            _log.error("%s: its files cannot be stored: %s", video_id, error)
            message = f"The service cannot store files at present ({error.strerror or type(error).__name__})."
            raise ApiError(503, _STORAGE, message, retry_after=1) from error

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
        try:
            # In an outage there is nobody to ask, and nobody who could have ended the job; the write-back will tell.
            if self._leases is not None and self._leases.lapsed and not self._store.away:
                await self._look_for_ended()
        finally:
            await self._end(job, *self._judge(job))

    async def _make(self, job: Job) -> None:
        written = await self._backlog.update(_state(job))
        if written != "written":
            job.stop_reason = _reason(written)
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(self._job_timeout):
                await self._run(job)
        except TimeoutError as error:
            raise JobError("job_timeout", f"The job did not end in {self._job_timeout:g} s.") from error

    def _judge(self, job: Job) -> tuple[Outcome, VideoError | None]:
        task = job.task
        if task is None or task.cancelled() or job.stop_reason == "service_lost":
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
        """Store the end, then count it, show it to clients last: then their counts and ours agree at any time."""
        job.outcome = outcome
        ended = self._clock.now()
        try:
            if job.stop_reason not in _DROPPED:
                last = replace(job, status=_status(outcome), error=error, ended=ended)
                written = await self._backlog.update(_state(last))
                if written != "written" and job.stop_reason is None:
                    job.stop_reason = _reason(written)
            if job.stop_reason in _DROPPED:
                await self._backlog.forget(job.id)
                await asyncio.to_thread(self._assets.remove, job.id)
            if job.stop_reason == "service_lost":
                outcome, error = _stopped("service_lost")
        finally:
            self._count(job, outcome, error, ended)
            job.ended, job.outcome, job.error, job.status = ended, outcome, error, _status(outcome)
            del self._live[job.id]
            job.done.set()

    def _count(self, job: Job, outcome: Outcome, error: VideoError | None, ended: float) -> None:
        self._metrics.ended(outcome, ended - job.created, job.correlation)
        self._metrics.active("queued" if job.started is None else "running", -1)
        job.span.set_attribute("video.job.outcome", outcome)
        if error is not None:
            job.span.set_attribute("error.type", error.code)
            job.span.set_status(StatusCode.ERROR, error.message)
        job.span.end(int(ended * _NANOSECONDS))

    async def _superseded(self, state: State, written: Written) -> None:
        _log.warning("%s: what was kept for the store is dropped, as the job was %s there.", state.id, written)
        job = self._live.get(state.id)
        if job is None:
            if written == "deleted" or not await self._made(state.id):
                await asyncio.to_thread(self._assets.remove, state.id)
        elif job.outcome is None:
            await self._ask(job, _reason(written))
        elif job.stop_reason is None:
            # It is just about to show another end.
            job.stop_reason = _reason(written)

    def _works_on(self, video_id: str) -> bool:
        return video_id in self._live or video_id in self._arriving or self.kept(video_id) is not None

    async def _made(self, video_id: str) -> bool:
        """Whether the store shows a video that was made: its files must not go then, whatever an old state says."""
        try:
            manifest = await self._store.manifest(video_id)
        except StoreError:
            return False  # nobody knows better than the kept state
        return manifest is not None and has_content(manifest)

    async def _look_for_ended(self) -> None:
        """Stop the jobs of this instance that others have ended."""
        stored = [job.id for job in self._live.values() if job.outcome is None]
        try:
            ended = await self._store.ended(stored)
        except StoreError as error:
            _log.warning("Whether other instances have ended jobs of this one is not known: %s", error)
            return
        for video_id in ended:
            job = self._live.get(video_id)
            if job is not None:
                _log.warning("%s: another instance has ended it; it stops here.", video_id)
                await self._ask(job, "service_lost")

    async def _ask(self, job: Job, reason: StopReason) -> None:
        """Ask a job to end; one that waits has ended when this returns."""
        job.stop(reason)
        if self._waiting.pop(job.id, None) is not None:
            job.queue_span.end()
            await self._end(job, *_stopped(reason))

    async def _stop(self, job: Job, reason: StopReason) -> None:
        await self._ask(job, reason)
        await job.done.wait()


def _status(outcome: Outcome) -> Status:
    return "completed" if outcome in {"completed", "partial"} else "failed"


def _reason(written: Written) -> StopReason:
    return "deleted" if written == "deleted" else "service_lost"


def _stopped(reason: StopReason | None) -> tuple[Outcome, VideoError | None]:
    if reason == "service_lost":
        return "failed", LOST
    if reason == "service_shutdown":
        message = "The service was shut down before the video was complete."
        return "failed", VideoError(code="service_shutdown", message=message)
    return "cancelled", None


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
