"""Answers of the target: received in chunks, decoded into records of `api`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from reelbench.loadgen.http.transport import NO_TYPE, EnoughError
from reelbench.loadgen.target.api import ErrorEnvelope

MAX_ANSWER: Final = 16 * 1024 * 1024
"""Largest JSON answer in bytes. Video content has no limit and is never held in memory."""
_MAX_LINE: Final = 200

T = TypeVar("T")


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """The answer to a call: a record of the API, or one line that says why there is none."""

    status: int | None
    """None: no complete answer."""
    value: T | None = None
    error: str | None = None
    code: str | None = None
    """Error code of the API's error envelope."""

    @property
    def transient(self) -> bool:
        """Whether another attempt may succeed: no complete answer, 429 or 5xx."""
        return (
            self.status is None
            or self.status == HTTPStatus.TOO_MANY_REQUESTS
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )


class Content(msgspec.Struct, frozen=True):
    """Size and checksum of a downloaded file."""

    bytes: int
    sha256: str | None
    """None: not computed."""


class FileSink(Protocol):
    """Receiver of the bytes of a downloaded file, in the order of the file."""

    def begin(self) -> None:
        """Start an empty file; called again when a download is repeated."""

    def write(self, chunk: bytes) -> None:
        """Receive the next bytes of the file."""


class Answer:
    """Receiver of one answer; keeps the body of JSON and of refusals, else only size and checksum.

    The bytes of a file (status 200, not kept) also go to the sink, if there is one.
    """

    __slots__ = ("_digest", "_keep", "_kept", "_sink", "error", "media_type", "seen", "size", "status")

    def __init__(self, *, keep: bool = True, checksum: bool = False, sink: FileSink | None = None) -> None:
        self._keep = keep
        self._kept: list[bytes] = []
        self._digest = hashlib.sha256() if checksum else None
        self._sink = sink
        self.seen = 0
        """Status in the head of the answer."""
        self.status: int | None = None
        """None unless the answer was complete."""
        self.media_type = NO_TYPE
        self.size = 0
        self.error: str | None = None

    def head(self, status: int, media_type: str, headers: Mapping[str, str]) -> None:  # noqa: ARG002 - the interface
        """Store status and media type; bodies of all statuses but 200 are kept, as they explain the refusal."""
        self.seen, self.media_type = status, media_type
        self._keep = self._keep or status != HTTPStatus.OK
        if self._sink is not None and not self._keep:
            self._sink.begin()

    def data(self, chunk: bytes) -> None:
        """Count, and keep or hash the next bytes of the body."""
        self.size += len(chunk)
        if self._keep:
            self._kept.append(chunk)
            if self.size > MAX_ANSWER:
                raise EnoughError(f"answer of more than {MAX_ANSWER} bytes")
            return
        if self._digest is not None:
            self._digest.update(chunk)
        if self._sink is not None:
            self._sink.write(chunk)

    def record(self, kind: type[T]) -> Reply[T]:
        """Decode the body of a 2xx answer into a record of the API."""
        if self.error is not None or self.status is None or not 200 <= self.status < 300:  # noqa: PLR2004 - HTTP's own classes
            return self._refusal()
        try:
            return Reply(self.status, msgspec.json.decode(b"".join(self._kept), type=kind))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Reply(self.status, error=one_line(f"HTTP {self.status}, but no {kind.__name__} object: {error}"))

    def file(self) -> Reply[Content]:
        """Return size and checksum of a downloaded file."""
        if self.error is not None or self.status != HTTPStatus.OK:
            return self._refusal()
        return Reply(self.status, Content(self.size, self._digest.hexdigest() if self._digest is not None else None))

    def _refusal(self) -> Reply[Any]:
        if self.error is not None:
            return Reply(self.status, error=self.error)
        try:
            envelope = msgspec.json.decode(b"".join(self._kept), type=ErrorEnvelope).error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Reply(self.status, error=f"HTTP {self.status}")
        return Reply(self.status, error=one_line(f"HTTP {self.status}: {envelope.message}"), code=envelope.code)


def one_line(text: str) -> str:
    """Return the text as one line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE - 3]}..."
