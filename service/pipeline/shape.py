"""The shape of the file for what a request asks."""

from __future__ import annotations

from fractions import Fraction

from reelbench.service.domain.generation import OPENAI_SIZES, CreateVideo, Quality
from reelbench.service.pipeline.tasks import Shape

SMALL = 320
"""Longest side of a small file in pixels."""
CRF: dict[Quality, int] = {"low": 36, "auto": 30, "medium": 30, "standard": 30, "high": 22, "hd": 22}


def shape(request: CreateVideo, *, full_size: bool) -> Shape:
    """Return the size, frames and rate of the file.

    Encoding at full size would be most of the cost of a job. So the sizes of the Videos API give a small file of the
    same aspect, unless `full_size` is set; `width` and `height`, and any other size, are exact.
    """
    small = not full_size and request.width is None and request.size in OPENAI_SIZES
    width, height = frame_size(*request.asked_size) if small else request.asked_size
    rate = request.rate
    return Shape(width, height, request.frames, (rate.numerator, rate.denominator), CRF[request.quality])


def frame_size(width: int, height: int) -> tuple[int, int]:
    """Return the small width and height of the file in pixels: the same aspect, even numbers for yuv420p."""
    scale = Fraction(SMALL, max(width, height))
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2
