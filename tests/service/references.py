"""Images and videos as references, and what the first frame of a video shows."""

from __future__ import annotations

import io
import struct
import zlib

import av
import numpy as np
from PIL import Image

CYAN = (0, 255, 255)


def image(kind: str = "PNG", colour: str = "cyan", size: tuple[int, int] = (300, 200)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def noise(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def mp4(colour: str = "cyan", frames: int = 5) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(frames):
            pixels = np.asarray(Image.new("RGB", (320, 240), colour))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def sound() -> bytes:
    """An MP4 without a picture."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame("fltp", "mono", 1024)
        frame.sample_rate, frame.pts = 16_000, 0
        frame.planes[0].update(bytes(4096))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that states a size and has the picture of a few pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def looks(content: bytes) -> tuple[int, int, int, float, float]:
    """Width, height, frames, frames per second and seconds of a video."""
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        length = float((stream.duration or 0) * (stream.time_base or 0))
        rate = float(stream.average_rate or 0)
        return stream.width, stream.height, len(list(container.decode(stream))), rate, length


def centre(content: bytes, number: int = 0) -> list[int]:
    """Red, green and blue in the centre of one frame."""
    with av.open(io.BytesIO(content), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    height, width, _ = frames[number].shape
    return [int(value) for value in frames[number][height // 2, width // 2]]
