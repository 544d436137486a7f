"""The mock image model: a small real PNG of the kind of visual that the prompt names."""

from __future__ import annotations

import base64
import colorsys
import functools
import io
import math
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated

import msgspec
import PIL.Image
from PIL import ImageDraw, ImageFont

from reelbench.service.providers.reply import Refusal, Reply, tokens

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
    seed: int | None = None


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
    seeded = "" if image.seed is None else f"{image.seed}/"
    for number in range(image.n or 1):
        key = blake2b(f"{seeded}{number}/{image.prompt}".encode(), digest_size=16).digest()
        data.append(_Datum(base64.b64encode(png(kind, image.prompt, width, height, key)).decode()))
    used = tokens(image.prompt)
    made = len(data) * math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
    body = _Images(int(now), data, _Usage(used, made, used + made, _Details(used)), f"{width}x{height}")
    return Reply(msgspec.json.encode(body), "application/json", used, made)


def rewritten(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a body with each of its base64-coded PNG files changed."""
    images = msgspec.json.decode(body, type=_Images)
    data = [_Datum(base64.b64encode(change(base64.b64decode(datum.b64_json))).decode()) for datum in images.data]
    return msgspec.json.encode(msgspec.structs.replace(images, data=data))


_PAPER, _INK, _ACCENT, _SECOND, _THIRD = range(5)
_SKY = 16
"""First palette entry of the sky of an illustration."""
_SHADES = 64
_TITLE_CHARACTERS = 34


def png(kind: str, prompt: str, width: int, height: int, key: bytes) -> bytes:
    """Return a PNG of `kind` (illustration, diagram or chart), with the first line of the prompt as its title.

    The sides are in pixels; `key` has at least 8 bytes, which choose the colours and the shapes.
    """
    picture = PIL.Image.new("P", (width, height), _PAPER)
    picture.putpalette(_palette(key[0]))
    _KINDS[kind](picture, key)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, 21), fill=_PAPER)
    draw.text((6, 3), prompt.split("\n", 1)[0][:_TITLE_CHARACTERS], fill=_INK, font=_font())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _illustration(picture: PIL.Image.Image, key: bytes) -> None:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    for row in range(height):
        draw.line((0, row, width, row), fill=_SKY + row * _SHADES // height)
    radius = height // 10 + key[1] % 12
    x = width * (40 + key[2] % 160) // 240
    draw.ellipse((x - radius, height // 3 - radius, x + radius, height // 3 + radius), fill=_ACCENT)
    for number, colour in enumerate((_THIRD, _SECOND, _INK)):
        peak = width * (20 + key[3 + number] % 200) // 240
        top = height * (50 + 12 * number + key[4 + number] % 10) // 100
        base = height * (100 + number) // 100
        draw.polygon(((peak - width // 2, base), (peak, top), (peak + width // 2, base)), fill=colour)


def _diagram(picture: PIL.Image.Image, key: bytes) -> None:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    boxes = 3 + key[1] % 3
    step = (height - 34) / boxes
    for number in range(boxes):
        top = round(30 + number * step)
        left = width * (8 + key[2 + number] % 40) // 100
        right = left + width * 45 // 100
        bottom = top + round(step * 0.6)
        draw.rectangle((left, top, right, bottom), fill=(_ACCENT, _SECOND, _THIRD)[number % 3], outline=_INK, width=2)
        if number + 1 < boxes:
            x, tip = (left + right) // 2, round(top + step)
            draw.line((x, bottom, x, tip - 1), fill=_INK, width=2)
            draw.polygon(((x - 4, tip - 6), (x + 4, tip - 6), (x, tip)), fill=_INK)


def _chart(picture: PIL.Image.Image, key: bytes) -> None:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    floor = height - 14
    bars = 4 + key[1] % 4
    step = (width - 40) / bars
    for number in range(bars):
        left = round(26 + number * step)
        top = floor - (floor - 34) * (30 + key[2 + number % 6] * 70 // 255) // 100
        draw.rectangle((left, top, round(left + step * 0.7), floor), fill=(_ACCENT, _SECOND, _THIRD)[number % 3])
    draw.line((18, 28, 18, floor, width - 10, floor), fill=_INK, width=2)


_KINDS: dict[str, Callable[[PIL.Image.Image, bytes], None]] = {
    "illustration": _illustration,
    "diagram": _diagram,
    "chart": _chart,
}


@functools.cache
def _palette(hue: int) -> bytes:
    def colour(turn: float, lightness: float, saturation: float) -> bytes:
        rgb = colorsys.hls_to_rgb((hue / 256 + turn) % 1, lightness, saturation)
        return bytes(round(255 * channel) for channel in rgb)

    named = (
        colour(0, 0.95, 0.4),
        colour(0, 0.15, 0.5),
        colour(0.08, 0.6, 0.8),
        colour(0.35, 0.5, 0.45),
        colour(0.6, 0.65, 0.5),
    )
    sky = (colour(0.02, 0.55 + 0.35 * shade / _SHADES, 0.6) for shade in range(_SHADES))
    return b"".join((*named, bytes(3 * (_SKY - len(named))), *sky))


@functools.cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=13)
