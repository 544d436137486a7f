"""Thumbnail and spritesheet of a video that `video_encoder` has made.

Only worker processes import this module, as all that uses FFmpeg.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av
from av import VideoFrame
from av.filter import Graph
from av.video.stream import VideoStream

from reelbench.service.pipeline.picture import encoded
from reelbench.service.pipeline.tasks import PreviewKind
from reelbench.service.provider_client.formats import MediaError

COLUMNS = 5
ROWS = 2
_THUMBNAIL_SIDE = 320
_TILE_SIDE = 160
"""Longest sides in pixels."""


def make(path: Path, kind: PreviewKind) -> bytes:
    """Return the thumbnail as WebP, or the spritesheet as JPEG; raises MediaError."""
    with path.open("rb") as file:
        try:
            return _made(file, kind)
        except (av.FFmpegError, IndexError, OSError, OverflowError, ValueError) as error:  # PyAV raises all of them
            raise MediaError(f"a video without a {kind} ({error})") from error


def _made(file: BinaryIO, kind: PreviewKind) -> bytes:
    with av.open(file, "r", format="mov") as container:
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise MediaError(f"a video without a {kind} (FFmpeg does not know its codec)")
        stream.codec_context.thread_count = 1
        if kind == "thumbnail":
            picture = _filtered(stream, container.decode(stream), 1, [("scale", _scale(_THUMBNAIL_SIDE))])
            return encoded(picture, "libwebp")
        sheet = [("scale", _scale(_TILE_SIDE)), ("tile", f"{COLUMNS}x{ROWS}")]
        return encoded(_filtered(stream, _spread(stream, container.decode(stream)), COLUMNS * ROWS, sheet), "mjpeg")


def _scale(side: int) -> str:
    return f"w={side}:h={side}:force_original_aspect_ratio=decrease:force_divisible_by=2"


def _spread(stream: VideoStream, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Yield one frame for each tile, evenly spread; fewer when the video has fewer frames."""
    tiles, total = COLUMNS * ROWS, max(1, stream.frames)
    wanted = {total * tile // tiles for tile in range(tiles)}
    return (frame for number, frame in enumerate(frames) if number in wanted)


def _filtered(
    stream: VideoStream, frames: Iterator[VideoFrame], count: int, steps: list[tuple[str, str]]
) -> VideoFrame:
    """Return the first picture that the filters make of at most `count` frames."""
    graph = Graph()
    nodes = [graph.add_buffer(template=stream), *(graph.add(name, arguments) for name, arguments in steps)]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    for _, frame in zip(range(count), frames, strict=False):
        graph.push(frame)
    graph.push(None)
    picture = graph.pull()
    assert isinstance(picture, VideoFrame)
    return picture
