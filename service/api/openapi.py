"""What the OpenAPI description says beyond the signatures of the routes: the creation's two bodies, and the errors."""

from __future__ import annotations

from typing import Any

from reelbench.service.api.schemas import CreateVideo, ErrorEnvelope

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorEnvelope, "description": "The request cannot be carried out."},
    "5XX": {"model": ErrorEnvelope, "description": "The service, or what it needs, failed."},
}

_FIELDS = CreateVideo.model_json_schema()
_FORM = _FIELDS | {
    "properties": _FIELDS["properties"]
    | {
        "input_reference": {
            "type": "string",
            "format": "binary",
            "description": "The document to make the video of: PDF or text.",
        }
    }
}

CREATE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _FIELDS}, "multipart/form-data": {"schema": _FORM}},
    }
}
"""The routes read this body themselves, bounded as it comes, so no signature shows it."""
