"""Limits of requests before an application sees them: time for head and body, size of the head, bytes of all bodies."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
"""Time from the first byte of a request to the end of its head."""
BODY_SECONDS: Final = 60.0
"""Time from the end of the head to the last byte of the body."""
MAX_HEAD: Final = 64 * 1024
"""Bytes of a head that arrives in more than one piece; a piece has at most 256 KiB."""
_WHOLE, _HEAD, _BODY = range(3)
_REASONS: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
}

_ANSWER: Final = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"


class Bodies:
    """The bytes of all bodies that are being received or used, up to `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> bool:
        """Take room for `size` more bytes; False when there is none."""
        if self.held + size > self.limit:
            return False
        self.held += size
        return True

    def release(self, size: int) -> None:
        """Give room back."""
        self.held -= size


class BoundedHttp(HttpToolsProtocol):
    """Uvicorn's protocol, which ends connections that send too slowly, and answers malformed requests in JSON.

    A request that arrives whole in one piece starts no timer.
    """

    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._part = self._timed = _WHOLE
        """What is missing of the present request, and what the timer is for."""
        self._timer: asyncio.TimerHandle | None = None
        self._head = 0
        """Bytes of pieces that had no end of a head."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Close a connection on which no request begins."""
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        """Parse a piece, and give the rest of its request a time limit."""
        super().data_received(data)
        if self._part == _HEAD:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(431, "headers_too_large", f"The head of a request may have {MAX_HEAD} bytes at most.")
                return
        if self._part != self._timed:
            self._start_timer()
        elif self._part == _WHOLE and self.timeout_keep_alive_task is None and self._is_idle():
            self._wait_for_request()  # line breaks between requests begin none

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        super().on_message_begin()
        self._part = _HEAD

    def on_headers_complete(self) -> None:
        """Note that the body begins."""
        self._part, self._head = _BODY, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self._part = _WHOLE
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request in the envelope of the API."""
        self._refuse(400, "invalid_http", msg)

    def _is_idle(self) -> bool:
        return not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete)

    def _wait_for_request(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timed = self._part
        if self._part != _WHOLE:
            seconds = self.head_seconds if self._part == _HEAD else self.body_seconds
            self._timer = self.loop.call_later(seconds, self._expire, seconds)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, seconds: float) -> None:
        part = "head" if self._part == _HEAD else "body"
        self._refuse(408, "request_timeout", f"The {part} of the request did not arrive within {seconds:g} s.")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer unless an answer has begun, and close the connection; the application sees a client that went away."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        next_one = cycle is not None and cycle.response_complete and self._part != _BODY
        if cycle is None or next_one or not cycle.response_started:
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
            body = msgspec.json.encode({"error": error})
            head = (
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head % (status, _REASONS[status], len(body)) + body)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
