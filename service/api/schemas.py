"""Bodies of responses: the page of a list, deletions, errors and probes."""

from __future__ import annotations

from typing import Literal

from reelbench.service.domain.video import Record, Video


class ErrorBody(Record):
    """What is wrong, and with which field."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorEnvelope(Record):
    """The body of every response with a status of 400 or above."""

    error: ErrorBody


class VideoList(Record):
    """One page of videos."""

    object: Literal["list"] = "list"
    data: tuple[Video, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(Record):
    """The response to a deletion."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True
    cancelled: bool
    """True when the job had not ended and was stopped."""


class Health(Record):
    """The response of the probes."""

    status: Literal["ok"] = "ok"
