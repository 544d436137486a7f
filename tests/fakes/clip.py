"""Small video files that decode, and files that are broken on purpose."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Final, Literal, get_args

import av
import msgspec
from PIL import Image

BadFile = Literal["empty", "truncated", "wrong_length", "wrong_size", "html"]
BAD_FILES: Final[tuple[BadFile, ...]] = get_args(BadFile)

HTML: Final = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"


class ClipSpec(msgspec.Struct, frozen=True):
    """What a client asked for."""

    width: int
    height: int
    frames: int
    fps: int

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.frames / self.fps


@lru_cache(maxsize=64)
def clip(spec: ClipSpec, seed: int = 0) -> bytes:
    """Return an MP4 of exactly that size, number of frames and rate: a grey that changes from frame to frame."""
    output = io.BytesIO()
    with av.open(output, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=spec.fps, options={"preset": "ultrafast", "crf": "40"})
        stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(spec.frames):
            frame = av.VideoFrame(spec.width, spec.height, "yuv420p")
            for position, plane in enumerate(frame.planes):
                shade = (seed + number) % 200 + 20 if position == 0 else 128
                plane.update(bytes([shade]) * plane.buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return output.getvalue()


def file(spec: ClipSpec, bad: BadFile | None = None) -> bytes:
    """Return the file of a job; with `bad`, one that a check must refuse."""
    match bad:
        case None:
            return clip(spec)
        case "empty":
            return b""
        case "truncated":
            whole = clip(spec)
            return whole[: len(whole) // 2]
        case "wrong_length":
            return clip(msgspec.structs.replace(spec, frames=max(1, spec.frames // 2)))
        case "wrong_size":
            return clip(msgspec.structs.replace(spec, width=spec.width // 4 * 2, height=spec.height // 4 * 2))
        case "html":
            return HTML


@lru_cache(maxsize=64)
def picture(spec: ClipSpec, kind: Literal["thumbnail", "spritesheet"]) -> bytes:
    """Return the thumbnail (WebP) or the spritesheet (JPEG) of a video."""
    output = io.BytesIO()
    columns = 1 if kind == "thumbnail" else 4
    image = Image.new("RGB", (spec.width // 2 * columns, spec.height // 2), (90, 90, 90))
    image.save(output, format="WEBP" if kind == "thumbnail" else "JPEG")
    return output.getvalue()
