"""Draws the visuals as small palette pictures, which are cheap to draw and to compress."""

from __future__ import annotations

import colorsys
import functools
import io
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK, _ACCENT, _SECOND, _THIRD = range(5)
_SKY = 16
"""First palette entry of the sky of an illustration."""
_SHADES = 64
_TITLE_CHARACTERS = 34


def png(kind: str, prompt: str, width: int, height: int, key: bytes) -> bytes:
    """Return a PNG of `kind` (illustration, diagram or chart), with the first line of the prompt as its title.

    Args:
        kind: What to draw.
        prompt: Its first line is the title.
        width: In pixels.
        height: In pixels.
        key: At least 8 bytes that determine the colours and the shapes.
    """
    picture = Image.new("P", (width, height), _PAPER)
    picture.putpalette(_palette(key[0]))
    _KINDS[kind](picture, key)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, 21), fill=_PAPER)
    draw.text((6, 3), prompt.split("\n", 1)[0][:_TITLE_CHARACTERS], fill=_INK, font=_font())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _illustration(picture: Image.Image, key: bytes) -> None:
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


def _diagram(picture: Image.Image, key: bytes) -> None:
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


def _chart(picture: Image.Image, key: bytes) -> None:
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


_KINDS: dict[str, Callable[[Image.Image, bytes], None]] = {
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
