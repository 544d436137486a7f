"""Video files with known properties."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TITLE = "made title"
"""Title of every video."""


def video(width: int = 64, height: int = 48, frames: int = 24, fps: float = 24, *, front: bool = False) -> bytes:
    """An MP4 file with a moving bar; `front` puts its index before the picture, as servers that stream do."""
    options = {"movflags": "faststart"} if front else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        with av.open(str(path), "w", format="mp4", options=options) as container:
            container.metadata["title"] = TITLE
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(frames):
                picture = np.zeros((height, width, 3), np.uint8)
                picture[:, (number * 7) % width] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path.read_bytes()
