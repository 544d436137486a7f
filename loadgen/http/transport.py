"""What the load generator asks of an HTTP client, so that the client can be another one."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 45.0
"""Longest silence within an answer; above the longest long poll of 30 s."""

# Below the 5 s after which uvicorn and others close an idle connection: a POST on a connection that the server is
# just closing fails, and a POST may not be sent twice.
KEEPALIVE_SECONDS: Final = 4.0

NO_TYPE: Final = "application/octet-stream"
"""The media type of an answer that names none."""


class TransportError(Exception):
    """There is no whole answer; the message is one line why."""


class EnoughError(Exception):
    """Raised by a receiver that wants no more; the rest of the answer is not read."""


class Request(msgspec.Struct, frozen=True):
    """One request."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    """Below the base URL: percent-encoded, with a query if there is one."""
    headers: Mapping[str, str]
    """All but those of the connection and the length of the body; names and values are ASCII without line breaks."""
    body: Sequence[bytes] = ()
    """In parts, which are sent one after the other and never joined when they are large."""


class Receiver(Protocol):
    """Takes an answer as it comes; nothing of it is kept by the transport."""

    def head(self, status: int, media_type: str) -> None:
        """Take the status and the media type, in small letters and without parameters."""

    def data(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            EnoughError: to end the exchange; it is raised to the caller.
        """


class Transport(Protocol):
    """A client with one pool of connections to one base URL."""

    async def exchange(self, request: Request, receiver: Receiver) -> None:
        """Send a request and give its answer to the receiver; returns after the last byte.

        A POST is sent once, whatever happens; others are sent again when the server had closed the kept connection.

        Raises:
            TransportError: no connection, no valid answer, a time-out, or the answer broke off.
            EnoughError: from the receiver.
        """

    async def close(self) -> None:
        """Close all connections; exchanges that go on fail."""


def reason(error: OSError) -> str:
    """Say what went wrong in the words of the system."""
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def open_transport(url: str, connections: int) -> Transport:
    """Return a client for a base URL, in a running loop.

    Args:
        url: http or https.
        connections: the most connections that may be open.
    """
    # Imported here: each implementation imports the types above, and aiohttp takes a quarter of the start-up time.
    if urlsplit(url).scheme == "https":
        from reelbench.loadgen.http.aiohttp import AiohttpTransport  # noqa: PLC0415

        return AiohttpTransport(url, connections)
    from reelbench.loadgen.http.http1 import Http1Transport  # noqa: PLC0415

    return Http1Transport(url, connections)
