"""Tasks and answers of the worker processes: MessagePack records.

No pickle: a process that a hostile document controls could answer with code for this one.
"""

from __future__ import annotations

import msgspec


class DocumentError(Exception):
    """A document that cannot be used; the message is one sentence for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Inspect(msgspec.Struct, frozen=True, tag=True):
    """Check a document; `media_type` is what the client declared."""

    path: str
    media_type: str


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read the text of a checked document."""

    path: str
    is_pdf: bool
    max_pages: int
    max_characters: int


class Encode(msgspec.Struct, frozen=True, tag=True):
    """Encode a video of `seconds` from scenes, each given by the paths of its PNG and WAV files."""

    scenes: tuple[tuple[str, str], ...]
    size: str
    seconds: int


class Kind(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Inspect`: a PDF, or plain text."""

    is_pdf: bool


class Text(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Read`, within the limits; `pages` counts all pages, None for plain text."""

    text: str
    pages: int | None


class Video(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Encode`: the MP4 file."""

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


Task = Inspect | Read | Encode
Answer = Kind | Text | Video | BadDocument | BadMedia | Defect
