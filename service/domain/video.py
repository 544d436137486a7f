"""A video and its manifest, as the API shows them and the store keeps them."""

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
    """Base of all records: frozen, without further fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CreateVideo(Record):
    """The fields of a creation request without the document."""

    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    model: Annotated[str, Field(min_length=1, max_length=100)] = "sora-2"
    seconds: Annotated[Seconds, BeforeValidator(_text)] = "4"
    size: Size = "720x1280"


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
    seconds: Seconds
    size: Size
    prompt: str
    remixed_from_video_id: str | None = None
    error: VideoError | None


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

    def assets(self) -> tuple[Asset, ...]:
        """Return all listed files."""
        made = (asset for scene in self.scenes for asset in (scene.audio, scene.visual))
        return tuple(asset for asset in (*made, self.content) if asset is not None)
