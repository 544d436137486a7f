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


class Asset(msgspec.Struct, frozen=True):
    """One file of a video in its manifest."""

    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The manifest of a video: an extension of the API that lists its files with their checksums."""

    video_id: str
    content: Asset | None


class ErrorBody(msgspec.Struct, frozen=True):
    """The inside of the API's error envelope."""

    message: str
    code: str | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """The API's error envelope."""

    error: ErrorBody
