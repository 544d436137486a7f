"""What the worker processes are asked, and what they answer: MessagePack records.

No pickle: a process that a hostile document has taken over could answer with code for this one to run.
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


class Compose(msgspec.Struct, frozen=True, tag=True):
    """Make the video of `seconds` from scenes, each given by the paths of its PNG and WAV files."""

    scenes: tuple[tuple[str, str], ...]
    size: str
    seconds: int


class Kind(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Inspect`: a PDF, or plain text."""

    is_pdf: bool


class Text(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Read`: at most the allowed pages and characters.

    `pages` counts all pages, None for plain text.
    """

    text: str
    pages: int | None


class Video(msgspec.Struct, frozen=True, tag=True):
    """Answer to `Compose`: the MP4 file."""

    content: bytes


class BadDocument(msgspec.Struct, frozen=True, tag=True):
    """The `DocumentError` that the task ended with."""

    code: str
    message: str


class BadMedia(msgspec.Struct, frozen=True, tag=True):
    """The `MediaError` that the task ended with."""

    reason: str


class Defect(msgspec.Struct, frozen=True, tag=True):
    """The task ended with an exception that nobody expected; the worker's log has its traceback."""

    error: str


Task = Inspect | Read | Compose
Answer = Kind | Text | Video | BadDocument | BadMedia | Defect
