"""A video and its manifest, as the API shows them and the store keeps them."""

from __future__ import annotations

from typing import Literal, get_args

from reelbench.service.domain.generation import CreateVideo, Parameters, Quality, Record, Seconds

Status = Literal["queued", "in_progress", "completed", "failed"]
VisualType = Literal["illustration", "diagram", "chart"]
StageName = Literal["parse", "script", "speech", "visual", "compose"]
UploadKind = Literal["pdf", "text", "image", "video"]


class VideoError(Record):
    """Why a job failed."""

    code: str
    message: str


class Video(Record):
    """A job, in the format of the OpenAI Videos API; times are Unix seconds."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Status
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    seconds: str
    """Length of the video."""
    size: str
    quality: Quality = "standard"
    prompt: str
    remixed_from_video_id: str | None = None
    error: VideoError | None
    inference_time_s: float | None = None
    """Seconds from the start of the work to its end, without the wait in the queue; null before."""
    peak_memory_mb: float | None = None
    """Peak memory of the accelerator in MiB; null before the end, and when none is set."""


class Asset(Record):
    """A stored file; `path` is its name within the folder of the job."""

    path: str
    sha256: str
    bytes: int
    media_type: str


class Document(Record):
    """The uploaded document; `pages` is null for plain text."""

    sha256: str
    bytes: int
    pages: int | None
    characters: int


class Reference(Record):
    """The uploaded image or video, of which the first scene's picture is made."""

    kind: Literal["image", "video"]
    sha256: str
    bytes: int
    media_type: str


class Scene(Record):
    """One scene; an asset is null before it is made, and when it could not be made."""

    index: int
    title: str
    narration: str
    visual_type: VisualType
    status: Literal["pending", "completed", "failed"]
    error: VideoError | None
    audio: Asset | None
    visual: Asset | None


class Stage(Record):
    """A finished stage; times are Unix seconds, `scene` is set for the stages of one scene."""

    name: StageName
    scene: int | None
    started: float
    ended: float


class Timings(Record):
    """Unix seconds; null for what has not happened yet."""

    created: float
    started: float | None
    ended: float | None


class Manifest(Record):
    """How a video was made, and its files with their checksums."""

    video_id: str
    status: Status
    document: Document | None
    scenes: tuple[Scene, ...]
    content: Asset | None
    stages: tuple[Stage, ...]
    timings: Timings
    reference: Reference | None = None
    parameters: Parameters | None = None
    """Fields of the request beyond the Videos API; null when it had none."""

    def assets(self) -> tuple[Asset, ...]:
        """Return all listed files."""
        made = (asset for scene in self.scenes for asset in (scene.audio, scene.visual))
        return tuple(asset for asset in (*made, self.content) if asset is not None)


def remixed(source: Video, parameters: Parameters | None, prompt: str) -> CreateVideo:
    """Return the request for a video like `source`, which was made with `parameters`, from another prompt."""
    fields = parameters.model_dump() if parameters else {}
    if source.seconds in get_args(Seconds):
        # Else the length follows from the parameters.
        fields["seconds"] = source.seconds
    return CreateVideo(prompt=prompt, model=source.model, size=source.size, quality=source.quality, **fields)
