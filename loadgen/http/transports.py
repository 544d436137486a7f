"""Which transport a URL gets."""

from __future__ import annotations

from urllib.parse import urlsplit

from reelbench.loadgen.http.http1 import Http1Transport
from reelbench.loadgen.http.transport import Transport


def open_transport(url: str, connections: int) -> Transport:
    """Give a client for a base URL, in a running loop.

    Args:
        url: with http or https.
        connections: how many may be open at most.
    """
    if urlsplit(url).scheme == "https":
        # Loaded here, as a quarter of the generator's start would be spent on what most runs do not use.
        from reelbench.loadgen.http.aiohttp import AiohttpTransport  # noqa: PLC0415

        return AiohttpTransport(url, connections)
    return Http1Transport(url, connections)
