"""Bodies of responses, and what the OpenAPI description needs in addition: bodies of a creation, and errors."""

from __future__ import annotations

from typing import Any, Literal

from reelbench.service.domain.video import CreateVideo, Record, Video


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


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorEnvelope, "description": "The request cannot be carried out."},
    "5XX": {"model": ErrorEnvelope, "description": "The service or one of its dependencies failed."},
}

_FIELDS = CreateVideo.model_json_schema()
_FORM = _FIELDS | {
    "properties": _FIELDS["properties"]
    | {
        "input_reference": {
            "type": "string",
            "format": "binary",
            "description": "The source document of the video: PDF or text.",
        }
    }
}

CREATE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _FIELDS}, "multipart/form-data": {"schema": _FORM}},
    }
}
"""The route reads this body itself to bound it, so the signature does not describe it."""
