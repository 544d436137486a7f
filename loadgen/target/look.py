"""Looks at a server: single requests that find out what is there, with their answers in bounded size."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec

from reelbench.loadgen.http.aiohttp import error_line, open_session
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.record.foreign_text import one_line

LOOK_SECONDS: Final = 10.0
_MOST: Final = 2 * 1024 * 1024
"""Bytes of an answer that are read."""
_HOPS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Look(msgspec.Struct, frozen=True):
    """One answer."""

    status: int | None
    """None: no answer."""
    media_type: str = ""
    headers: Mapping[str, str] = {}
    """By names in lower case."""
    body: bytes = b""
    """At most its first 2 MiB."""
    error: str = ""
    """Why there is no answer, in one line."""
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        """The decoded body; None: no JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def mapping(self) -> dict[str, Any]:
        """The decoded body; empty unless it is a JSON object."""
        decoded = self.json
        return decoded if isinstance(decoded, dict) else {}

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own classes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


class Looker:
    """Client for looks; use as an asynchronous context manager."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        """Prepare the client for a base URL."""
        self.url = url
        self.credentials = credentials
        self._stack = AsyncExitStack()
        self._sessions: dict[tuple[str, str], aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def get(self, path: str) -> Look:
        """GET a path below the base URL; redirects are followed on the same server, or to it by https."""
        url = self.url + path
        started = time.monotonic()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                for _ in range(_HOPS):
                    look, location = await self._once(url)
                    following = urljoin(url, location) if location is not None else url
                    if location is None or not _same_server(url, following):
                        break
                    url = following
        except TimeoutError:
            look = Look(None, error=f"time-out after {LOOK_SECONDS:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            look = Look(None, error=self.credentials.clean(error_line(problem)))
        return msgspec.structs.replace(look, seconds=time.monotonic() - started)

    async def _once(self, url: str) -> tuple[Look, str | None]:
        session = await self._session(url)
        async with session.get(url, allow_redirects=False) as response:
            location = response.headers.get("Location") if response.status in _REDIRECTS else None
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MOST:
                    break
            headers = {name.lower(): one_line(value) for name, value in response.headers.items()}
            kept = self.credentials.clean(body[:_MOST].decode("latin-1")).encode("latin-1")
            return Look(response.status, response.content_type, headers, kept), location

    async def _session(self, url: str) -> aiohttp.ClientSession:
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        if place not in self._sessions:
            opened = open_session(url, self.credentials.on(url), 4)
            self._sessions[place] = await self._stack.enter_async_context(opened)
        return self._sessions[place]


def _same_server(url: str, following: str) -> bool:
    """Return whether a redirect stays at the server: the same scheme, host and port, or https on the same host."""
    try:
        return Credentials(origin=url).belongs_to(following)
    except ValueError:
        return False
