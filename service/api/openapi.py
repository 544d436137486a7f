"""Additions to the OpenAPI description: the two bodies of a creation, and the errors."""

from __future__ import annotations

from typing import Any

from reelbench.service.api.schemas import ErrorEnvelope
from reelbench.service.domain.video import CreateVideo

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
