"""Uploaded images and videos that guide a video: PNG, JPEG, WebP and MP4.

Only worker processes import this module: FFmpeg may crash, hang or take all memory on a hostile file. Decoders are set
to fail on damage, since by default they return what they can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import av
from av import VideoFrame
from av.codec.context import ThreadType
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from reelbench.service.pipeline.picture import encoded
from reelbench.service.pipeline.tasks import DocumentError

ReferenceKind = Literal["image", "video"]

_MAX_PIXELS = 4096 * 4096
_STRICT = {"err_detect": "explode+crccheck+bitstream+buffer", "max_pixels": str(_MAX_PIXELS)}
_HEAD = 16


class _Image(NamedTuple):
    """A kind of image: the bytes that it starts with, those at offset 8, and its decoder."""

    start: bytes
    at_eight: bytes
    decoder: str


_IMAGES = (
    _Image(b"\x89PNG\r\n\x1a\n", b"", "png"),
    _Image(b"\xff\xd8\xff", b"", "mjpeg"),
    _Image(b"RIFF", b"WEBP", "webp"),
)


def kind(path: Path) -> ReferenceKind | None:
    """Return what the first bytes of a file say; None for neither an image nor a video of the supported formats."""
    head = _head(path)
    if _image(head) is not None:
        return "image"
    return "video" if head[4:8] == b"ftyp" else None


def check(path: Path, kind: ReferenceKind) -> None:
    """Raise DocumentError unless the image, or the first frame of the video, can be decoded."""
    _frame(path, kind)


def still(path: Path, kind: ReferenceKind, width: int, height: int) -> bytes:
    """Return the image, or the first frame of the video, as a PNG of this size; raises DocumentError."""
    picture = VideoReformatter().reformat(_frame(path, kind), width, height, "rgb24", interpolation="AREA")
    return encoded(picture, "png")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _image(head: bytes) -> _Image | None:
    return next((one for one in _IMAGES if head.startswith(one.start) and head[8:].startswith(one.at_eight)), None)


def _frame(path: Path, kind: ReferenceKind) -> VideoFrame:
    try:
        frame = _decoded_image(path) if kind == "image" else _first_frame(path)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise DocumentError(f"invalid_{kind}", f"The uploaded {kind} cannot be decoded: {reason}.") from error
    if frame is None:
        raise DocumentError(f"invalid_{kind}", f"The uploaded {kind} has no picture that can be decoded.")
    return frame


def _decoded_image(path: Path) -> VideoFrame | None:
    content = path.read_bytes()
    image = _image(content[:_HEAD])
    assert image is not None
    decoder = VideoCodecContext.create(image.decoder, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = _STRICT
    decoder.thread_count = 1
    frames = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    return frames[0] if frames else None


def _first_frame(path: Path) -> VideoFrame | None:
    # A file object, not a path: a hostile file can then name no other file.
    with path.open("rb") as file, av.open(file, "r", format="mov", options={"enable_drefs": "0"}) as container:
        if not container.streams.video:
            return None
        stream = container.streams.video[0]
        if stream.codec_context is None:
            return None  # a codec that FFmpeg does not know
        stream.codec_context.options = _STRICT
        stream.thread_type = ThreadType.NONE
        return next(container.decode(stream), None)
