"""Interface of the HTTP clients, and the choice between them."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials

CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 45.0
"""Longest silence of a server that is not known to be slow; longer than the longest long poll of 30 s."""

# Below the 5 s after which uvicorn and others close an idle connection: a POST on a closing connection fails, and must
# not be sent twice.
KEEPALIVE_SECONDS: Final = 4.0

CERTIFICATE: Final = "certificate: "
"""First word of the message of a `TransportError` about a certificate; the message ends with the cure."""
SLOW_STEPS: Final = 10
"""Writes per second of a body that is sent slowly."""

NO_TYPE: Final = "application/octet-stream"
"""Media type of an answer without one."""


HEADERS: Final = frozenset({"location", "retry-after", "server-timing"})
"""Headers of an answer that are passed to its receiver."""


class TransportError(Exception):
    """No complete answer; the message is one line with the reason."""


class EnoughError(Exception):
    """Raised by a receiver to end the exchange; the rest of the answer is not read."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    """Path below the base URL, percent-encoded, with query."""
    headers: str = ""
    """Headers except those of the connection and the body length, in ASCII, as `header_line` writes each."""
    body: Sequence[bytes] = ()
    """Parts of the body; large parts are never joined."""
    silence: float = SILENCE_SECONDS
    """Longest silence of the server in seconds, before its answer and within it."""
    send_rate: int | None = None
    """Bytes of the body per second; None: as fast as the server reads."""
    read_rate: int | None = None
    """Bytes of the answer per second; None: as fast as the server writes."""


class Receiver(Protocol):
    """Receiver of an answer in chunks; the transport stores nothing of it."""

    def head(self, status: int, media_type: str, headers: Mapping[str, str]) -> None:
        """Receive the status, the media type, and the headers of `HEADERS` that the answer has.

        The media type and the names of headers are in lower case; the media type has no parameters.
        """

    def data(self, chunk: bytes) -> None:
        """Receive the next bytes of the body.

        Raises:
            EnoughError: to end the exchange; the caller receives the error.
        """

    def whole(self, media_type: str, data: bytes, start: int, /) -> None:
        """Receive at once what `head` and `data` receive of an answer with the status 200 and no header of `HEADERS`.

        Args:
            media_type: as for `head`.
            data: head and body.
            start: where the body begins.

        Raises:
            EnoughError: as `data`.
        """


class Transport(Protocol):
    """A client with one pool of connections to one base URL."""

    async def exchange(self, request: Request, receiver: Receiver) -> None:
        """Send a request and pass the answer to the receiver; return after the last byte.

        A POST is sent at most once; other requests are sent again when the server had closed the idle connection.

        Raises:
            TransportError: no connection, no valid answer, a time-out, or an incomplete answer.
            EnoughError: from the receiver.
        """

    async def close(self) -> None:
        """Close all connections; exchanges in progress fail."""


def header_line(name: str, value: str) -> str:
    """Return one header as HTTP/1.1 sends it; the value is without line breaks."""
    return f"{name}: {value}\r\n"


def reason(error: OSError) -> str:
    """Return the system's text for an error."""
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def open_transport(
    url: str, connections: int, credentials: Credentials = NO_CREDENTIALS, *, dial: tuple[str, int] | None = None
) -> Transport:
    """Return a client for a base URL, in a running loop.

    Args:
        url: http or https, without user and password.
        connections: the most connections that may be open.
        credentials: only what belongs to the server of this URL is sent.
        dial: host and port to connect to instead of those of the URL, such as a TCP proxy before them; the Host header
            and the name in TLS stay those of the URL.
    """
    allowed = credentials.on(url) if dial is None else replace(credentials.on(url), proxies={})
    # Imported here: each implementation imports the types above, and aiohttp takes a quarter of the start-up time.
    if urlsplit(url).scheme == "https" or allowed.proxy(url) is not None:
        from reelbench.loadgen.http.aiohttp import AiohttpTransport  # noqa: PLC0415

        return AiohttpTransport(url, connections, allowed, dial=dial)
    from reelbench.loadgen.http.http1 import Http1Transport  # noqa: PLC0415

    return Http1Transport(url, connections, allowed, dial=dial)
