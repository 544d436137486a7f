"""One HTTP/1.1 connection: one exchange at a time, parsed in C, passed on in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast

import httptools
import msgspec

from reelbench.loadgen.http.transport import (
    HEADERS,
    NO_TYPE,
    SILENCE_SECONDS,
    SLOW_STEPS,
    EnoughError,
    Receiver,
    Request,
    TransportError,
    reason,
)

MAX_HEAD: Final = 64 * 1024
"""Maximum size of the head of an answer in bytes."""
MOST_KNOWN: Final = 64
"""Most heads that are kept."""
MOST_KNOWN_SIZE: Final = 1024
"""Most bytes of a head that is kept."""
_HEAD_END: Final = b"\r\n\r\n"
_OK_LINE: Final = b"HTTP/1.1 200 "
CHUNK: Final = 64 * 1024
"""Bytes per write: larger writes block the loop, and an early answer would not be read."""
_SWITCHING: Final = 101
_OK: Final = 200
_NO_HEADERS: Final[Mapping[str, str]] = {}
_LENGTHS: Final = frozenset(map(len, HEADERS))
"""Lengths of the names of passed headers: a comparison of lengths saves most comparisons of names."""


class DisconnectedError(TransportError):
    """The connection ended before the first byte of an answer."""


class KnownHead(msgspec.Struct, frozen=True, gc=False):
    """The head of an answer with the status 200, a length, and no header that is passed on."""

    media_type: str
    size: int
    """Bytes of the head."""
    length: int
    """Bytes of the body."""
    head: bytes


class KnownHeads:
    """Heads that the parser has read, as a server repeats its heads: an answer with one of them needs no parser."""

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHead] = {}
        self._latest: dict[int, KnownHead] = {}
        """By the length of the whole answer, as a comparison takes half the time of finding the end of a head."""

    def of(self, data: bytes) -> KnownHead | None:
        """Return the head of a whole answer, if it is known."""
        latest = self._latest.get(len(data))
        if latest is not None and data.startswith(latest.head):
            return latest
        known = self._known.get(data[: data.find(_HEAD_END) + 4])
        if known is None or len(data) != known.size + known.length:
            return None
        self._latest[len(data)] = known
        return known

    def add(self, data: bytes, length: int, media_type: str) -> None:
        """Keep the head of an answer, if it is short and the answer is one with the status 200 and this length."""
        size = data.find(_HEAD_END) + 4
        if len(data) != size + length or size > MOST_KNOWN_SIZE or not data.startswith(_OK_LINE):
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
            self._latest.clear()
        self._known[data[:size]] = KnownHead(media_type, size, length, data[:size])


class Connection(asyncio.Protocol):
    """An asyncio protocol; removes itself from the set of open connections when its socket is closed."""

    __slots__ = (
        "_answer", "_begun", "_framed", "_head_bytes", "_headed", "_headers", "_heads", "_heard", "_length", "_loop",
        "_media_type", "_open", "_parser", "_read_by", "_read_rate", "_receiver", "_resumed", "_rings", "_sending",
        "_silence", "_size", "_timer", "_transport", "idle_since", "reusable", "simple", "used",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, is_open: set[Connection], heads: KnownHeads) -> None:
        self._loop = loop
        self._open = is_open
        self._heads = heads
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[None] | None = None
        self._receiver: Receiver | None = None
        self._resumed: asyncio.Future[None] | None = None
        """Set while the peer does not read."""
        self._timer: asyncio.TimerHandle | None = None
        self._heard = self._read_by = 0.0
        """Last sign of the server; when the answer may be read further."""
        self._rings = 0.0
        """When the timer rings."""
        self._read_rate: int | None = None
        self._silence = SILENCE_SECONDS
        self._begun = self._sending = False
        self._head_bytes = self._size = 0
        self._reset()
        self.reusable = True
        """Whether another exchange may follow."""
        self.used = False
        """Whether there was an exchange before."""
        self.simple = True
        """Whether the exchange has only to wait for the end of its answer, so `finish` is not needed."""
        self.idle_since = 0.0

    def begin(self, head: bytes, request: Request, receiver: Receiver) -> asyncio.Future[None]:
        """Begin an exchange with a request whose head is complete; return what is done with the end of its answer.

        A small body is sent at once, another one by `finish`. Each exchange ends with `end`. These are three methods
        because most exchanges do without `finish`: a coroutine for each exchange is a third of its cost.

        Raises:
            TransportError: the connection was closed before.
        """
        if not self.reusable:
            raise self._broken(None)
        answer = self._answer = self._loop.create_future()
        self._receiver = receiver
        self._begun = self._headed = False
        self._head_bytes = self._size = 0
        self._heard = self._read_by = self._loop.time()
        self._read_rate, silence = request.read_rate, request.silence
        self.simple = self._read_rate is None
        self._silence = silence
        if self._timer is None or self._heard + silence < self._rings:
            self._watch()
        body = request.body
        if not body:
            self._transport.write(head)
        elif request.send_rate is None and sum(map(len, body)) <= CHUNK:
            self._transport.write(b"".join((head, *body)))
        else:
            self._transport.write(head)
            self._sending, self.simple = True, False
        return answer

    async def finish(self, request: Request, answer: asyncio.Future[None]) -> None:
        """Send the rest of a request, and wait for the end of its answer.

        Raises:
            TransportError: as `Transport.exchange`.
            EnoughError: from the receiver.
        """
        if self._sending:
            await self._send(request, answer)
        await answer
        if self._read_rate is not None:  # the last bytes also take their time
            await asyncio.sleep(self._read_by - self._loop.time())

    def end(self, answer: asyncio.Future[None]) -> None:
        """End an exchange; a connection whose exchange is incomplete cannot be reused."""
        self._answer = self._receiver = None
        self.used = True
        if self._sending or not answer.done() or answer.cancelled():
            self.abort()

    def abort(self) -> None:
        """Close the socket now."""
        self.reusable = False
        self._transport.abort()

    async def _send(self, request: Request, answer: asyncio.Future[None]) -> None:
        """Send a large body, or one that is sent slowly, in parts."""
        rate = request.send_rate
        step = CHUNK if rate is None else max(1, min(CHUNK, rate // SLOW_STEPS))
        for part in request.body:
            view = memoryview(part)
            for start in range(0, len(view), step):
                if rate is not None:
                    await asyncio.wait({answer}, timeout=step / rate)
                if self._resumed is not None:
                    await asyncio.wait({self._resumed, answer}, return_when=asyncio.FIRST_COMPLETED)
                if answer.done():  # answered before the whole body was sent
                    return
                self._transport.write(view[start : start + step])
                self._heard = self._loop.time()
        self._sending = False

    def _watch(self) -> None:
        """Look for silence in time: a timer that is there would look too late."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings = self._loop.call_later(self._silence, self._look), self._heard + self._silence

    def _look(self) -> None:
        """Check for silence; one timer serves many exchanges, as a timer costs more than an exchange."""
        self._timer = None
        if self._answer is None:
            return
        left = self._heard + self._silence - self._loop.time()
        if left > 0:
            self._timer, self._rings = self._loop.call_later(left, self._look), self._heard + self._silence
        else:
            self._fail(TransportError(f"time-out: nothing was received for {self._silence:g} s"))

    def _reset(self) -> None:
        self._headed = self._framed = False
        self._length = 0
        self._media_type = NO_TYPE
        self._headers = _NO_HEADERS

    def _complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def _fail(self, error: Exception) -> None:
        self.abort()
        self._receiver = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast(
            "asyncio.Transport", transport
        )  # that of uvloop implements it, but does not inherit from it

    def data_received(self, data: bytes) -> None:
        """Pass on an answer whose head is known; feed the parser with others: it calls the methods at the end."""
        answer = self._answer
        if answer is None or answer.done():  # bytes without a request
            self.abort()
            return
        first = not self._begun and self._read_rate is None
        if first and (known := self._heads.of(data)) is not None:
            receiver = self._receiver
            assert receiver is not None, "an answer is awaited"
            try:
                receiver.whole(known.media_type, data, known.size)
            except EnoughError as enough:
                self._fail(enough)
            else:
                answer.set_result(None)
            return
        self._begun = True
        self._heard = self._loop.time()
        if not self._headed:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # After the end of an answer, only the connection is unusable.
            kind = "ClientPayloadError" if self._headed else "not HTTP"
            self._fail(TransportError(f"{kind}: {error}"))
        if not self._headed and self._head_bytes > MAX_HEAD:
            self._fail(TransportError(f"not HTTP: a head of more than {MAX_HEAD} bytes"))
        if first and self.reusable and answer.done() and self._headers is _NO_HEADERS:
            self._heads.add(data, self._length, self._media_type)
        if self._read_rate is not None:
            self._read_slowly(len(data), self._read_rate)

    def _read_slowly(self, size: int, rate: int) -> None:
        """Read no further until the bytes that were read have taken their time."""
        now = self._loop.time()
        self._read_by = max(self._read_by, now) + size / rate
        self._heard = self._read_by  # the pause is no silence of the server
        self._transport.pause_reading()
        self._loop.call_later(self._read_by - now, self._read_on)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """Let the transport close itself."""
        self.reusable = False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange in progress."""
        self.reusable = False
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        if self._answer is not None and not self._answer.done():
            if self._headed and not self._framed and exc is None:
                self._complete()  # an answer without a length ends with its connection
            else:
                self._fail(self._broken(exc))
        self._open.discard(self)

    def pause_writing(self) -> None:
        """Stop writing until the peer reads."""
        self._resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        """Continue writing."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)

    def _broken(self, exc: Exception | None) -> TransportError:
        why = f" ({reason(exc)})" if isinstance(exc, OSError) else ""
        if not self._begun:
            return DisconnectedError(f"ServerDisconnectedError: Server disconnected{why}")
        return TransportError(f"ClientPayloadError: the answer broke off after {self._size} bytes of its body{why}")

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin an answer; an answer without a request makes the connection unusable."""
        self._reset()
        if self._answer is None or self._answer.done():
            self.reusable = False
            self._receiver = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store media type and framing."""
        length = len(name)
        if length == 12 and name.lower() == b"content-type":  # noqa: PLR2004 - the name's length
            self._media_type = _media_type(value)
        elif length == 14 and name.lower() == b"content-length":  # noqa: PLR2004 - the name's length
            self._framed, self._length = True, int(value)
        elif length == 17 and name.lower() == b"transfer-encoding":  # noqa: PLR2004 - the name's length
            self._framed = True
        elif length in _LENGTHS and (known := name.lower().decode("latin-1")) in HEADERS:
            self._headers = {**self._headers, known: value.decode("latin-1")}

    def on_headers_complete(self) -> None:
        """Pass the head to the receiver, unless it is an interim one."""
        status = self._parser.get_status_code()
        if status >= _OK or status == _SWITCHING:
            self._headed = True
            if self._receiver is not None:
                self._receiver.head(status, self._media_type, self._headers)

    def on_body(self, body: bytes) -> None:
        """Pass bytes of the body to the receiver."""
        if self._receiver is None:
            return
        self._size += len(body)
        try:
            self._receiver.data(body)
        except EnoughError as enough:
            self._fail(enough)

    def on_message_complete(self) -> None:
        """End the exchange, or wait for the answer after an interim one."""
        if not self._headed:
            return
        if not self._parser.should_keep_alive():
            self.reusable = False
        self._complete()


@lru_cache
def _media_type(value: bytes) -> str:
    """Return the media type of a header ``Content-Type``, without parameters; a server has few of them."""
    return value.partition(b";")[0].strip().lower().decode("latin-1")
