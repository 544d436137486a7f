"""Tasks and answers of the worker processes: MessagePack records.

No pickle: a process that a hostile document controls could answer with code for this one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from reelbench.service.domain.video import UploadKind

PreviewKind = Literal["thumbnail", "spritesheet"]


class DocumentError(Exception):
    """An upload that cannot be used; the message is one sentence for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Shape(msgspec.Struct, frozen=True):
    """The picture track of a video."""

    width: int
    height: int
    frames: int
    rate: tuple[int, int]
    """Frames per second, as numerator and denominator."""
    crf: int
    """Constant rate factor of x264: higher is smaller and worse."""


class Inspect(msgspec.Struct, frozen=True, tag=True):
    """Check an uploaded file; `media_type` is what the client declared."""

    path: str
    media_type: str


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read the text of a checked document."""

    path: str
    is_pdf: bool
    max_pages: int
    max_characters: int


class Encode(msgspec.Struct, frozen=True, tag=True):
    """Encode a video of this shape from scenes, each given by the paths of its PNG and WAV files."""

    scenes: tuple[tuple[str, str], ...]
    shape: Shape


class Still(msgspec.Struct, frozen=True, tag=True):
    """Make a PNG of a checked image, or of the first frame of a checked video."""

    path: str
    kind: Literal["image", "video"]
    width: int
    height: int


class Preview(msgspec.Struct, frozen=True, tag=True):
    """Make the thumbnail or the spritesheet of an encoded video."""

    path: str
    kind: PreviewKind


class Kind(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Inspect`."""

    kind: UploadKind


class Text(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Read`, within the limits; `pages` counts all pages, None for plain text."""

    text: str
    pages: int | None


class File(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Encode`, `Still` and `Preview`: the file."""

    content: bytes


class BadDocument(msgspec.Struct, frozen=True, tag=True):
    """The task ended with a `DocumentError`."""

    code: str
    message: str


class BadMedia(msgspec.Struct, frozen=True, tag=True):
    """The task ended with a `MediaError`."""

    reason: str


class Defect(msgspec.Struct, frozen=True, tag=True):
    """The task ended with an unexpected exception; the log of the worker has its traceback."""

    error: str


Task = Inspect | Read | Encode | Still | Preview
Answer = Kind | Text | File | BadDocument | BadMedia | Defect
