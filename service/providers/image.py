"""The mock image model: a small real PNG of the kind of visual that the prompt names."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated

import msgspec

from reelbench.service.providers import drawing
from reelbench.service.providers.errors import Refusal
from reelbench.service.providers.reply import Reply, tokens

LATENCY_SCALES = {"illustration": 1.25, "diagram": 1.0, "chart": 0.75}
"""Latency of each kind of visual, as a multiple of the provider's latency."""
_AREA = 320 * 180
_SIZE = re.compile(r"(?P<width>[1-9]\d{1,3})x(?P<height>[1-9]\d{1,3})")
_MOST_ELONGATED = 4
_PATCH = 16
"""Side in pixels of the square that costs one output token."""


class Image(msgspec.Struct, frozen=True):
    """The body of ``POST /v1/images/generations``; other fields are ignored."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=32_000)]
    size: str | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    output_format: str | None = None
    response_format: str | None = None


class _Datum(msgspec.Struct, frozen=True):
    b64_json: str


class _Details(msgspec.Struct, frozen=True):
    text_tokens: int
    image_tokens: int = 0


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: _Details


class _Images(msgspec.Struct, frozen=True):
    created: int
    data: list[_Datum]
    usage: _Usage
    size: str
    output_format: str = "png"


def content(image: Image) -> bytes:
    """Return the content that determines the latency of this request."""
    return msgspec.json.encode([image.model, image.prompt, image.size, image.n])


def visual_type(prompt: str) -> str:
    """Return the kind of visual that the prompt names first, by default an illustration."""
    lowered = prompt.lower()
    named = {kind: lowered.find(kind) for kind in LATENCY_SCALES}
    return min((kind for kind, place in named.items() if place >= 0), key=named.__getitem__, default="illustration")


def pixels(size: str | None) -> tuple[int, int]:
    """Return width and height of the picture: the requested aspect, the area of 320x180, even numbers.

    Raises:
        Refusal: the size is not WIDTHxHEIGHT with an aspect up to 4:1.
    """
    if size is None or size == "auto":
        return 320, 180
    found = _SIZE.fullmatch(size)
    width, height = (int(found["width"]), int(found["height"])) if found else (0, 1)
    if not 1 / _MOST_ELONGATED <= width / height <= _MOST_ELONGATED:
        raise Refusal(f"'{size[:20]}' is not a size like 1280x720, with an aspect up to 4:1.", param="size")
    scale = math.sqrt(_AREA / (width * height))
    return 2 * round(width * scale / 2), 2 * round(height * scale / 2)


def check(image: Image) -> None:
    """Reject requests that this provider does not support.

    Raises:
        Refusal: the format is not PNG as base64, or the size is not possible.
    """
    if image.output_format not in {None, "png"}:
        raise Refusal("Only PNG is offered; set 'output_format' to 'png'.", param="output_format")
    if image.response_format not in {None, "b64_json"}:
        raise Refusal("Only 'b64_json' is offered; leave out 'response_format'.", param="response_format")
    pixels(image.size)


def answer(image: Image, now: float) -> Reply:
    """Draw the picture, or `n` of them; takes about 2 ms of CPU each."""
    width, height = pixels(image.size)
    kind = visual_type(image.prompt)
    data = []
    for number in range(image.n or 1):
        key = blake2b(f"{number}/{image.prompt}".encode(), digest_size=16).digest()
        data.append(_Datum(base64.b64encode(drawing.png(kind, image.prompt, width, height, key)).decode()))
    used = tokens(image.prompt)
    made = len(data) * math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
    body = _Images(int(now), data, _Usage(used, made, used + made, _Details(used)), f"{width}x{height}")
    return Reply(msgspec.json.encode(body), "application/json", used, made)


def rewritten(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a body with each of its base64-coded PNG files changed."""
    images = msgspec.json.decode(body, type=_Images)
    data = [_Datum(base64.b64encode(change(base64.b64decode(datum.b64_json))).decode()) for datum in images.data]
    return msgspec.json.encode(msgspec.structs.replace(images, data=data))
