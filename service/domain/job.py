"""One job while this process works on it."""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.trace import Span

from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.generation import CreateVideo
from reelbench.service.domain.video import (
    Asset,
    Document,
    Manifest,
    Reference,
    Scene,
    Stage,
    Status,
    Timings,
    UploadKind,
    Video,
    VideoError,
    VisualType,
)

Outcome = Literal["completed", "partial", "failed", "cancelled"]
StopReason = Literal["deleted", "service_shutdown", "service_lost"]
DONE = 100
"""Progress of a completed job in per cent."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The document, image or video that came with a job, stored but not yet used."""

    asset: Asset
    kind: UploadKind

    @property
    def reference(self) -> Reference | None:
        """The image or video as the manifest shows it; None for a document."""
        if self.kind not in {"image", "video"}:
            return None
        asset = self.asset
        return Reference(kind=self.kind, sha256=asset.sha256, bytes=asset.bytes, media_type=asset.media_type)


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
        """Whether both assets of the scene are made."""
        return self.audio is not None and self.visual is not None

    def record(self) -> Scene:
        """Return the scene as the manifest shows it."""
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
    """State of a job, changed only by its pipeline and by the queue; times are Unix seconds."""

    id: str
    sequence: int
    request: CreateVideo
    upload: Upload | None
    correlation: Correlation
    context: Context
    span: Span
    queue_span: Span
    created: float
    remixed_from: str | None = None
    peak_memory_mb: float | None = None
    """Peak memory to report; None: none is reported."""
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
    """The pipeline of the job, while it runs."""
    left_queue: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a worker takes the job, or when the job is stopped."""
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, reason: StopReason) -> None:
        """Stop the job; later reasons, and reasons after its end, are ignored."""
        if self.stop_reason is None and self.outcome is None:
            self.stop_reason = reason
            self.left_queue.set()
            if self.task is not None:
                self.task.cancel()

    def video(self) -> Video:
        """Return the video as the API shows it now."""
        request = self.request
        width, height = request.asked_size
        seconds = None
        if self.status == "completed" and self.started is not None and self.ended is not None:
            seconds = round(self.ended - self.started, 6)
        return Video(
            id=self.id,
            model=request.model,
            status=self.status,
            progress=self.progress,
            created_at=int(self.created),
            completed_at=int(self.ended) if self.ended is not None and self.status == "completed" else None,
            seconds=f"{float(request.length):.9g}",
            size=f"{width}x{height}",
            quality=request.quality,
            prompt=request.prompt,
            remixed_from_video_id=self.remixed_from,
            error=self.error,
            inference_time_s=seconds,
            peak_memory_mb=None if seconds is None else self.peak_memory_mb,
        )

    def manifest(self) -> Manifest:
        """Return the manifest with the stages and the files so far."""
        return Manifest(
            video_id=self.id,
            status=self.status,
            document=self.document,
            scenes=tuple(scene.record() for scene in self.scenes),
            content=self.content,
            stages=tuple(self.stages),
            timings=Timings(created=self.created, started=self.started, ended=self.ended),
            reference=self.upload.reference if self.upload else None,
            parameters=self.request.parameters,
        )
