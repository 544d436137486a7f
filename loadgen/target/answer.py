"""Answers of the target: received in chunks, and what became of them."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar

import msgspec

from reelbench.loadgen.http.transport import NO_TYPE, EnoughError
from reelbench.loadgen.target.api import Content
from reelbench.loadgen.target.error_text import error_code, error_text, one_line
from reelbench.loadgen.target.media import START
from reelbench.loadgen.target.reading import UnreadableError
from reelbench.loadgen.target.server_times import timing_header

MAX_ANSWER: Final = 16 * 1024 * 1024
"""Largest JSON answer in bytes. Video content has no limit and is never held in memory."""
MAX_INLINE: Final = 64 * 1024 * 1024
"""Largest JSON answer with a file in base64; the file then has up to 48 MiB."""
_OK: Final = 200
_NO_HEADERS: Final[Mapping[str, str]] = {}
_NOT_OFFERED: Final = frozenset(
    {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
_NOT_YET: Final = frozenset(
    {HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY}
)

T = TypeVar("T")
P = ParamSpec("P")


class Reply(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The answer to a call: a record of the API, or one line that says why there is none."""

    status: int | None
    """None: no complete answer."""
    value: T | None = None
    error: str | None = None
    code: str | None = None
    """Error code of the API's error envelope."""
    retry_after: float | None = None
    """Seconds of the header ``Retry-After``."""
    html: bool = False
    """True: the body is a web page."""
    stages: dict[str, float] = {}
    """``Server-Timing`` in seconds."""

    @property
    def transient(self) -> bool:
        """Whether another attempt may succeed: no complete answer, 429 or 5xx."""
        return (
            self.status is None
            or self.status == HTTPStatus.TOO_MANY_REQUESTS
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )

    @property
    def throttled(self) -> bool:
        """Whether the server asks for patience: 429, or 503 with ``Retry-After``."""
        return self.value is None and (
            self.status == HTTPStatus.TOO_MANY_REQUESTS
            or (self.status == HTTPStatus.SERVICE_UNAVAILABLE and self.retry_after is not None)
        )

    @property
    def explained(self) -> bool:
        """Whether the server said in JSON what is wrong."""
        return self.error is not None and self.error.startswith(f"HTTP {self.status}: ")

    @property
    def not_offered(self) -> bool:
        """Whether servers answer so to an unknown path: 404, 405, 501, 403, or 200 with a web page."""
        return self.value is None and (self.status in _NOT_OFFERED or (self.status == HTTPStatus.OK and self.html))

    @property
    def not_yet(self) -> bool:
        """Whether a file may still be written: 202, 204, 404, 409 or 425."""
        return self.value is None and self.status in _NOT_YET


class FileSink(Protocol):
    """Receiver of the bytes of a downloaded file, in the order of the file."""

    def begin(self) -> None:
        """Start an empty file; called again when a download is repeated."""

    def write(self, chunk: bytes) -> None:
        """Receive the next bytes of the file."""


class Answer(msgspec.Struct):
    """Receiver of one answer; keeps the body of JSON and of refusals, else only size and checksum.

    The bytes of a file (status 200, not kept) also go to the sink, if there is one.
    """

    keep: bool = True
    """Whether the body is kept, up to `limit`."""
    textual: bool = False
    """Whether JSON and text are kept where a file is expected, because they say where the file is."""
    limit: int = MAX_ANSWER
    """Most bytes that are kept."""
    checksum: bool = False
    """Whether the checksum of a file is computed."""
    sink: FileSink | None = None
    """Gets the bytes of a file."""
    status: int | None = None
    """None unless the answer was complete."""
    error: str | None = None
    clean: Callable[[str], str] = str
    """Removes secrets from a text that the server wrote."""
    seen: int = 0
    """Status in the head of the answer."""
    media_type: str = NO_TYPE
    headers: Mapping[str, str] = _NO_HEADERS
    size: int = 0
    start: bytes = b""
    """First bytes of a file."""
    kept: bool = True
    """Whether the body was kept."""
    _parts: list[bytes] = []
    _digest: Any = None

    def head(self, status: int, media_type: str, headers: Mapping[str, str]) -> None:
        """Begin an answer; bodies of all statuses but 200 are kept, as they explain the refusal."""
        if self.size:  # the request was sent again
            self.size, self.start, self._parts = 0, b"", []
        self.seen, self.media_type, self.headers = status, media_type, headers
        if self.keep:
            return
        self.kept = status != _OK or (self.textual and _is_text(media_type))
        if self.checksum:
            self._digest = hashlib.sha256()
        if self.sink is not None and not self.kept:
            self.sink.begin()

    def data(self, chunk: bytes) -> None:
        """Count, and keep or hash the next bytes of the body."""
        self.size += len(chunk)
        if self.kept:
            self._parts.append(chunk)
            if self.size > self.limit:
                raise EnoughError(f"answer of more than {self.limit} bytes")
            return
        if len(self.start) < START:
            self.start += chunk[: START - len(self.start)]
        if self._digest is not None:
            self._digest.update(chunk)
        if self.sink is not None:
            self.sink.write(chunk)

    def whole(self, media_type: str, data: bytes, start: int, /) -> None:
        """Do for a whole answer what `head` and `data` do."""
        if self.size or self.checksum or self.sink is not None:
            self.head(_OK, media_type, _NO_HEADERS)
            if len(data) > start:
                self.data(data[start:])
            return
        self.seen, self.media_type, self.headers = _OK, media_type, _NO_HEADERS
        size = self.size = len(data) - start
        if self.keep or (self.textual and _is_text(media_type)):
            self.kept = True
            self._parts = [data[start:]]
            if size > self.limit:
                raise EnoughError(f"answer of more than {self.limit} bytes")
        else:
            self.kept = False
            self.start = data[start : start + START]

    @property
    def body(self) -> bytes:
        """The kept body."""
        return b"".join(self._parts)

    def read(
        self, decode: Callable[Concatenate[bytes, P], T], what: str, /, *asked: P.args, **how: P.kwargs
    ) -> Reply[T]:
        """Decode the body of a 2xx answer.

        Args:
            decode: raises `UnreadableError` or an error of msgspec.
            what: name of the record, for the error.
            asked: further arguments of `decode`.
            how: the same by name.
        """
        if self.error is not None or self.status is None or not 200 <= self.status < 300:  # noqa: PLR2004 - HTTP's own classes
            return self.refusal()
        parts = self._parts
        try:
            value = decode(parts[0] if len(parts) == 1 else b"".join(parts), *asked, **how)
        except (UnreadableError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            line = one_line(self.clean(f"HTTP {self.status}, but no {what}: {error}"))
            return Reply(self.status, error=line, html=self._html(), retry_after=self._retry_after())
        if not self.headers:
            return Reply(self.status, value)
        stages = timing_header(self.headers.get("server-timing"))
        return Reply(self.status, value, retry_after=self._retry_after(), stages=stages)

    def file(self) -> Reply[Content]:
        """Return size and checksum of a downloaded file."""
        if self.error is not None or self.status != _OK:
            return self.refusal()
        content = Content(self.size, self._digest.hexdigest() if self._digest is not None else None)
        if not self.headers:
            return Reply(self.status, content)
        return Reply(self.status, content, stages=timing_header(self.headers.get("server-timing")))

    def refusal(self) -> Reply[Any]:
        """Return why there is no record, in the server's own words if it has some."""
        if self.error is not None:
            return Reply(self.status, error=one_line(self.clean(self.error)))
        wait, html = self._retry_after(), self._html()
        try:
            # Cleaned before it is shortened: a part of a secret would not be found.
            raw = msgspec.json.decode(self.clean(self.body.decode()))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Reply(self.status, error=f"HTTP {self.status}", retry_after=wait, html=html)
        said = error_text(raw)
        line = one_line(self.clean(f"HTTP {self.status}: {said}")) if said else f"HTTP {self.status}"
        return Reply(self.status, error=line, code=error_code(raw), retry_after=wait, html=html)

    def _html(self) -> bool:
        return self.media_type == "text/html" or self.body[:64].lstrip()[:1] == b"<"

    def _retry_after(self) -> float | None:
        return seconds_of(self.headers.get("retry-after"))


def seconds_of(text: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, a number or a date; None: no header, or an unreadable one."""
    if not text:
        return None
    try:
        seconds = float(text[:64])
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text[:64]).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type.endswith("json")
