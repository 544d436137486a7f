"""The create request of a fake: what it accepts, and the clip that it asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
from aiohttp import web

from tests.fakes.clip import ClipSpec
from tests.fakes.manner import Manner

MAX_SIDE = 4096
MAX_FRAMES = 2000


class RefusedError(Exception):
    """A request that the server refuses."""

    def __init__(
        self, status: int, message: str, code: str, headers: Mapping[str, str] | None = None, *, routing: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, dict(headers or {})
        self.routing = routing
        """Whether the framework refuses and not the server's own code."""


class Create(msgspec.Struct, frozen=True):
    """A create request that was understood."""

    prompt: str
    model: str
    clip: ClipSpec
    steps: int
    fields: dict[str, str]


async def read_create(request: web.Request, manner: Manner, model: str) -> Create:
    """Read a create request, or refuse it as the server would."""
    fields = await _fields(request, manner)
    prompt = fields.get("prompt", "")
    if not prompt:
        raise RefusedError(400, "prompt is required", "missing_required_parameter")
    given = fields.get("model", "")
    if not given and manner.model == "required":
        raise RefusedError(400, "model is required", "missing_required_parameter")
    if given and manner.model != "ignored" and given != model:
        raise RefusedError(manner.wrong_model_status, f"the model '{given}' does not exist", "model_not_found")
    try:
        clip = _clip(fields, manner)
        steps = int(fields.get("num_inference_steps", manner.steps))
    except ValueError as error:
        raise RefusedError(400, f"invalid value: {error}", "invalid_value") from error
    return Create(prompt, given or model, clip, steps, fields)


async def _fields(request: web.Request, manner: Manner) -> dict[str, str]:
    form = request.content_type in {"multipart/form-data", "application/x-www-form-urlencoded"}
    if ("form" if form else "json") not in manner.bodies:
        accepted = " or ".join(sorted(manner.bodies))
        raise RefusedError(415 if form else 400, f"the body must be {accepted}", "invalid_body")
    if form:
        return await _form_fields(request, manner)
    try:
        body = json.loads(await request.text())
    except ValueError as error:
        raise RefusedError(400, "the body is no JSON", "invalid_json") from error
    if not isinstance(body, dict):
        raise RefusedError(400, "the body must be an object", "invalid_json")
    if manner.integer_seconds and isinstance(body.get("seconds", 0), str):
        raise RefusedError(400, "seconds: invalid type: string, expected i32", "invalid_type")
    nested = body.pop("nvext", None) or {}
    return {name: _text(value) for name, value in (body | nested).items() if value is not None}


async def _form_fields(request: web.Request, manner: Manner) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            if manner.references is None or not value.content_type.startswith(manner.references):
                raise RefusedError(400, f"{name}: {value.content_type} is not supported", "unsupported_file")
        else:
            fields[name] = str(value)
    return fields


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _clip(fields: Mapping[str, str], manner: Manner) -> ClipSpec:
    """Return the clip that the fields ask for; raises ValueError."""
    width, height = (int(side) for side in fields.get("size", manner.size).split("x"))
    width, height = int(fields.get("width", width)), int(fields.get("height", height))
    fps = int(fields.get("fps", manner.fps))
    length = fields.get(manner.length_field, f"{manner.seconds:g}")
    if manner.lengths and length not in manner.lengths:
        raise ValueError(f"{manner.length_field} must be one of {', '.join(manner.lengths)}")
    frames = int(fields.get("num_frames", round(float(length) * fps)))
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and fps > 0 and 0 < frames <= MAX_FRAMES):
        raise ValueError(f"{width}x{height}, {frames} frames at {fps} per second")
    return ClipSpec(width // 2 * 2, height // 2 * 2, frames, fps)
