"""Bodies of responses, and what the OpenAPI description needs in addition: bodies of a creation, and errors."""

from __future__ import annotations

from typing import Any, Literal

from reelbench.service.api.body import Remix
from reelbench.service.domain.generation import CreateVideo, Record
from reelbench.service.domain.video import Video

Variant = Literal["video", "thumbnail", "spritesheet"]
MEDIA_TYPES: dict[Variant, str] = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
EXTENSIONS: dict[Variant, str] = {"video": "mp4", "thumbnail": "webp", "spritesheet": "jpg"}


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

_BINARY = {"type": "string", "format": "binary"}
CONTENT_TYPES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {media_type: {"schema": _BINARY} for media_type in MEDIA_TYPES.values()},
    }
}

_FIELDS = CreateVideo.model_json_schema()
_FORM = _FIELDS | {
    "properties": _FIELDS["properties"]
    | {
        "input_reference": _BINARY
        | {"description": "Where the video comes from: a document (PDF, text), an image (PNG, JPEG, WebP) or an MP4."}
    }
}
_JSON = _FIELDS | {
    "properties": _FIELDS["properties"]
    | {
        "input_reference": {
            "type": "object",
            "properties": {"image_url": {"type": "string", "description": "A data URL with base64."}},
            "required": ["image_url"],
            "additionalProperties": False,
            "description": "As in the form, without an upload.",
        }
    }
}


def _body(schemas: dict[str, Any]) -> dict[str, Any]:
    content = {media_type: {"schema": schema} for media_type, schema in schemas.items()}
    return {"requestBody": {"required": True, "content": content}}


CREATE = _body({"application/json": _JSON, "multipart/form-data": _FORM})
REMIX = _body(dict.fromkeys(("application/json", "multipart/form-data"), Remix.model_json_schema()))
"""The routes read these bodies themselves to bound them, so their signatures do not describe them."""
