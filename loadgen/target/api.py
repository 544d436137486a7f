"""The OpenAI Videos API: its operations, and the fields of its answers that the load generator reads."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import quote

import msgspec

ROOT: Final = "/v1/videos"


class Operation(msgspec.Struct, frozen=True):
    """One operation of the API."""

    name: str
    """As in ``requests.jsonl``."""
    method: Literal["GET", "POST", "DELETE"]
    template: str = ""
    """Path below `ROOT`, with ``{video_id}`` and ``{name}`` as placeholders."""

    def path(self, video_id: str = "", name: str = "") -> str:
        """Return the path with its placeholders filled in and percent-encoded."""
        if not self.template:
            return ROOT
        path = self.template.replace("{video_id}", _quoted(video_id))
        return ROOT + (path.replace("{name}", _quoted(name)) if name else path)


CREATE: Final = Operation("create", "POST")
LIST: Final = Operation("list", "GET")
RETRIEVE: Final = Operation("retrieve", "GET", "/{video_id}")
WAIT: Final = Operation("wait", "GET", "/{video_id}/wait")
MANIFEST: Final = Operation("manifest", "GET", "/{video_id}/manifest")
CONTENT: Final = Operation("content", "GET", "/{video_id}/content")
ASSET: Final = Operation("asset", "GET", "/{video_id}/assets/{name}")
DELETE: Final = Operation("delete", "DELETE", "/{video_id}")
CANCEL: Final = Operation("cancel", "DELETE", "/{video_id}")


def _quoted(text: str) -> str:
    """Percent-encode a part of a path; the check saves the call for most identifiers."""
    return text if text.isascii() and text.replace("_", "").isalnum() else quote(text, safe="")


class VideoError(msgspec.Struct, frozen=True):
    """Reason of a failed video."""

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
        """Whether the status is final."""
        return self.status in {"completed", "failed"}


class VideoList(msgspec.Struct, frozen=True):
    """One page of videos, newest first."""

    object: Literal["list"]
    data: list[Video]
    has_more: bool = False


class DeletedVideo(msgspec.Struct, frozen=True):
    """Answer to a deletion."""

    id: str
    deleted: bool
    cancelled: bool | None = None
    """True: the job had not ended; None: not reported (an extension of the API)."""


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
        """Whether the scene is part of the video."""
        return self.status == "completed"


class Manifest(msgspec.Struct, frozen=True):
    """Manifest of a video with files and checksums (an extension of the API)."""

    video_id: str
    status: str
    content: Asset | None
    scenes: tuple[Scene, ...] = ()

    @property
    def files(self) -> tuple[Asset, ...]:
        """All files of the video, the content last."""
        made = [asset for scene in self.scenes for asset in (scene.audio, scene.visual)]
        return tuple(asset for asset in (*made, self.content) if asset is not None)


class ErrorBody(msgspec.Struct, frozen=True):
    """Content of the error envelope."""

    message: str
    code: str | None = None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """Error envelope of the API."""

    error: ErrorBody
