"""One job while this process works on it."""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.trace import Span

from reelbench.service.api.schemas import (
    Asset,
    CreateVideo,
    Document,
    Manifest,
    Scene,
    Stage,
    Status,
    Timings,
    Video,
    VideoError,
    VisualType,
)
from reelbench.service.jobs.correlation import Correlation

Outcome = Literal["completed", "partial", "failed", "cancelled"]
StopReason = Literal["deleted", "service_shutdown", "service_lost"]
DONE = 100
"""Progress of a completed job; per cent."""


class JobError(Exception):
    """Why a job, or one scene of it, failed for good; the message is one sentence for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def record(self) -> VideoError:
        """The error as the API shows it."""
        return VideoError(code=self.code, message=self.message)


class ProviderError(JobError):
    """A provider call that failed.

    `error_type` is its value for ``error.type``; `transient` says that another attempt may succeed, not before
    `retry_after` seconds when the provider gave them.
    """

    def __init__(
        self, code: str, message: str, error_type: str, *, transient: bool, retry_after: float | None = None
    ) -> None:
        super().__init__(code, message)
        self.error_type = error_type
        self.transient = transient
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Upload:
    """The document of a job, stored but not yet read."""

    asset: Asset
    is_pdf: bool


@dataclass(slots=True)
class SceneState:
    """A scene while its assets are made."""

    index: int
    title: str
    narration: str
    visual_type: VisualType
    error: VideoError | None = None
    audio: Asset | None = None
    visual: Asset | None = None

    @property
    def complete(self) -> bool:
        """Whether the scene can be composed."""
        return self.audio is not None and self.visual is not None

    def record(self) -> Scene:
        """The scene as the manifest shows it."""
        return Scene(
            index=self.index,
            title=self.title,
            narration=self.narration,
            visual_type=self.visual_type,
            status="failed" if self.error else "completed" if self.complete else "pending",
            error=self.error,
            audio=self.audio,
            visual=self.visual,
        )


@dataclass(slots=True, eq=False)
class Job:
    """State of a job, changed by its pipeline and by the queue only; instants are Unix seconds."""

    id: str
    sequence: int
    request: CreateVideo
    upload: Upload | None
    correlation: Correlation
    context: Context
    span: Span
    queue_span: Span
    created: float
    started: float | None = None
    ended: float | None = None
    status: Status = "queued"
    outcome: Outcome | None = None
    progress: int = 0
    error: VideoError | None = None
    document: Document | None = None
    scenes: list[SceneState] = field(default_factory=list)
    content: Asset | None = None
    stages: list[Stage] = field(default_factory=list)
    stop_reason: StopReason | None = None
    task: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, reason: StopReason) -> None:
        """Ask the job to end now; the first reason holds, and a job that has ended stays as it is."""
        if self.stop_reason is None and self.outcome is None:
            self.stop_reason = reason
            if self.task is not None:
                self.task.cancel()

    def video(self) -> Video:
        """The job as the API shows it now."""
        return Video(
            id=self.id,
            model=self.request.model,
            status=self.status,
            progress=self.progress,
            created_at=int(self.created),
            completed_at=int(self.ended) if self.ended is not None and self.status == "completed" else None,
            seconds=self.request.seconds,
            size=self.request.size,
            prompt=self.request.prompt,
            error=self.error,
        )

    def manifest(self) -> Manifest:
        """How far the job has come, with all files made so far."""
        return Manifest(
            video_id=self.id,
            status=self.status,
            document=self.document,
            scenes=tuple(scene.record() for scene in self.scenes),
            content=self.content,
            stages=tuple(self.stages),
            timings=Timings(created=self.created, started=self.started, ended=self.ended),
        )
