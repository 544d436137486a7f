"""The OpenAI Videos API: its operations, and the fields of its answers that the load generator reads."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import quote

import msgspec

from reelbench.loadgen.record.jobs import ServerTimes
from reelbench.loadgen.target.states import ENDS, State


class Operation(msgspec.Struct, frozen=True):
    """One operation of the API."""

    name: str
    """As in ``requests.jsonl``."""
    method: Literal["GET", "POST", "DELETE"]
    template: str = ""
    """Path below the path of the jobs, with ``{video_id}`` and ``{name}`` as placeholders."""

    def at(self, root: str) -> Endpoint:
        """Return the operation at a server whose jobs have the path `root`, such as ``/v1/videos``."""
        before, _, after = self.template.partition("{video_id}")
        between, _, end = after.partition("{name}")
        route = root + self.template
        return Endpoint(self.name, self.method, route, root + before, between, end)


class Endpoint(msgspec.Struct, frozen=True):
    """An operation at one server, prepared: the path of a request is its parts put together."""

    name: str
    method: Literal["GET", "POST", "DELETE"]
    route: str
    """Path below the host with placeholders."""
    _before: str
    _between: str
    _end: str

    def path(self, video_id: str = "", name: str = "") -> str:
        """Return the path below the host with its placeholders filled in and percent-encoded.

        Args:
            video_id: the job.
            name: a file of the job.
        """
        if name:
            return f"{self._before}{_quoted(video_id)}{self._between}{_quoted(name)}{self._end}"
        return f"{self._before}{_quoted(video_id)}{self._between}"


CREATE: Final = Operation("create", "POST")
LIST: Final = Operation("list", "GET")
RETRIEVE: Final = Operation("retrieve", "GET", "/{video_id}")
WAIT: Final = Operation("wait", "GET", "/{video_id}/wait")
MANIFEST: Final = Operation("manifest", "GET", "/{video_id}/manifest")
CONTENT: Final = Operation("content", "GET", "/{video_id}/content")
ASSET: Final = Operation("asset", "GET", "/{video_id}/assets/{name}")
DELETE: Final = Operation("delete", "DELETE", "/{video_id}")
CANCEL: Final = Operation("cancel", "DELETE", "/{video_id}")


class Endpoints(msgspec.Struct, frozen=True):
    """The operations at one server, except the download."""

    create: Endpoint
    list: Endpoint
    retrieve: Endpoint
    wait: Endpoint
    manifest: Endpoint
    asset: Endpoint
    delete: Endpoint
    cancel: Endpoint


def endpoints(root: str, cancel_path: str | None) -> Endpoints:
    """Return the operations at a server.

    Args:
        root: path of the jobs.
        cancel_path: path of a cancellation below that of the job; None: a job is cancelled by its deletion.
    """
    cancel = CANCEL if cancel_path is None else Operation("cancel", "POST", "/{video_id}" + cancel_path)
    return Endpoints(*(one.at(root) for one in (CREATE, LIST, RETRIEVE, WAIT, MANIFEST, ASSET, DELETE, cancel)))


def _quoted(text: str) -> str:
    """Percent-encode a part of a path; the check saves the call for most identifiers."""
    if text.isascii() and text.replace("_", "").isalnum():
        return text
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")


class Content(msgspec.Struct, frozen=True, gc=False):
    """Size and checksum of a downloaded file."""

    bytes: int
    sha256: str | None
    """None: not computed."""


class Video(msgspec.Struct, frozen=True, gc=False):
    """A video job, in our words."""

    id: str
    """Empty for the answer of a synchronous server that names none."""
    state: State = "running"
    word: str | None = None
    """The server's own word for the state."""
    created_at: float | None = None
    """Unix time by the server's clock."""
    error: str | None = None
    """One line."""
    links: tuple[str, ...] = ()
    """Where the file is, absolute or below the host."""
    inline: str | None = None
    """The file in base64."""
    times: ServerTimes | None = None
    file: Content | None = None
    """The file, where the answer to the create request was the file itself."""

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state in ENDS

    @property
    def carries_file(self) -> bool:
        """Whether the answer was or has the file, or its address."""
        return bool(self.links) or self.inline is not None or self.file is not None


class VideoList(msgspec.Struct, frozen=True):
    """One page of videos."""

    data: list[Video]
    has_more: bool | None = None
    """None: the server does not say."""


class DeletedVideo(msgspec.Struct, frozen=True):
    """Answer to a deletion."""

    id: str
    deleted: bool
    cancelled: bool | None = None
    """True: the job had not ended; None: not reported (an extension of the API)."""
    pending: bool = False
    """True: the server has accepted the request and has still to carry it out."""


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
