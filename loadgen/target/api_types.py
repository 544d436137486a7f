"""What the OpenAI Videos API answers, as far as the load generator reads it."""

from __future__ import annotations

from typing import Literal

import msgspec


class VideoError(msgspec.Struct, frozen=True):
    """Why a video failed."""

    message: str = ""
    code: str | None = None


class Video(msgspec.Struct, frozen=True):
    """A video job."""

    id: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    object: Literal["video"]
    created_at: float
    error: VideoError | None = None

    @property
    def terminal(self) -> bool:
        """True when the status will not change any more."""
        return self.status in {"completed", "failed"}


class VideoList(msgspec.Struct, frozen=True):
    """One page of videos, newest first."""

    object: Literal["list"]
    data: list[Video]
    has_more: bool = False


class DeletedVideo(msgspec.Struct, frozen=True):
    """The answer to a deletion."""

    id: str
    deleted: bool
    cancelled: bool | None = None
    """True when the job had not ended; None where the service does not say (an extension of the API)."""


class Asset(msgspec.Struct, frozen=True):
    """One file of a video in its manifest."""

    path: str
    sha256: str
    bytes: int


class Scene(msgspec.Struct, frozen=True):
    """One scene of a video in its manifest."""

    status: str
    audio: Asset | None = None
    visual: Asset | None = None

    @property
    def complete(self) -> bool:
        """True when the scene is part of the video."""
        return self.status == "completed"


class Manifest(msgspec.Struct, frozen=True):
    """The manifest of a video: an extension of the API that lists its files with their checksums."""

    video_id: str
    status: str
    content: Asset | None
    scenes: tuple[Scene, ...] = ()

    @property
    def files(self) -> tuple[Asset, ...]:
        """Every file that was made, the video last."""
        made = [asset for scene in self.scenes for asset in (scene.audio, scene.visual)]
        return tuple(asset for asset in (*made, self.content) if asset is not None)


class ErrorBody(msgspec.Struct, frozen=True):
    """The inside of the API's error envelope."""

    message: str
    code: str | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """The API's error envelope."""

    error: ErrorBody
