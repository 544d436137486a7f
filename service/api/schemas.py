"""What the API takes and gives: the OpenAI Videos API, and the manifest of a video."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Size = Literal["720x1280", "1280x720", "1024x1792", "1792x1024"]
Seconds = Literal["4", "8", "12"]
Status = Literal["queued", "in_progress", "completed", "failed"]
VisualType = Literal["illustration", "diagram", "chart"]
StageName = Literal["parse", "script", "speech", "visual", "compose"]


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Record(BaseModel):
    """Base of all schemas: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CreateVideo(Record):
    """The fields of a creation request besides the document."""

    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    model: Annotated[str, Field(min_length=1, max_length=100)] = "sora-2"
    seconds: Annotated[Seconds, BeforeValidator(_text)] = "4"
    size: Size = "720x1280"


class VideoError(Record):
    """Why a job failed."""

    code: str
    message: str


class ErrorBody(Record):
    """What is wrong, and with which field."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorEnvelope(Record):
    """Every answer of status 400 and above."""

    error: ErrorBody


class Video(Record):
    """A job, as the OpenAI Videos API shows it; instants are Unix seconds."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Status
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    seconds: Seconds
    size: Size
    prompt: str
    remixed_from_video_id: str | None = None
    error: VideoError | None


class VideoList(Record):
    """One page of videos."""

    object: Literal["list"] = "list"
    data: tuple[Video, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(Record):
    """The answer to a deletion."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True
    cancelled: bool
    """Whether the job had not ended and was stopped."""


class Asset(Record):
    """A stored file; `path` is its name within the job's folder."""

    path: str
    sha256: str
    bytes: int
    media_type: str


class Document(Record):
    """What was read of the uploaded document; plain text has no pages."""

    sha256: str
    bytes: int
    pages: int | None
    characters: int


class Scene(Record):
    """One scene; its assets are null until they are made, or when they could not be made."""

    index: int
    title: str
    narration: str
    visual_type: VisualType
    status: Literal["pending", "completed", "failed"]
    error: VideoError | None
    audio: Asset | None
    visual: Asset | None


class Stage(Record):
    """A finished stage; instants are Unix seconds, `scene` is set for the stages of one scene."""

    name: StageName
    scene: int | None
    started: float
    ended: float


class Timings(Record):
    """Unix seconds; null while not reached."""

    created: float
    started: float | None
    ended: float | None


class Manifest(Record):
    """How a video was made, and every file of it with its checksum."""

    video_id: str
    status: Status
    document: Document | None
    scenes: tuple[Scene, ...]
    content: Asset | None
    stages: tuple[Stage, ...]
    timings: Timings

    def assets(self) -> tuple[Asset, ...]:
        """Every file that is listed."""
        made = (asset for scene in self.scenes for asset in (scene.audio, scene.visual))
        return tuple(asset for asset in (*made, self.content) if asset is not None)


class Health(Record):
    """The answer of the probes."""

    status: Literal["ok"] = "ok"
