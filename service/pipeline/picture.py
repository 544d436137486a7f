"""Encodes one picture as an image file.

Only worker processes import this module, as all that uses FFmpeg.
"""

from __future__ import annotations

from typing import Literal

from av import VideoFrame
from av.video.codeccontext import VideoCodecContext

Codec = Literal["png", "libwebp", "mjpeg"]
_PIXELS: dict[Codec, str] = {"png": "rgb24", "libwebp": "yuv420p", "mjpeg": "yuvj420p"}


def encoded(picture: VideoFrame, codec: Codec) -> bytes:
    """Return `picture` as PNG, WebP or JPEG."""
    picture = picture.reformat(format=_PIXELS[codec])
    encoder = VideoCodecContext.create(codec, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, _PIXELS[codec]
    encoder.thread_count = 1
    return b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))
