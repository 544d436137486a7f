"""Looks at a server: single requests that find out what is there, with their whole answers in bounded size."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec

from reelbench.loadgen.http.aiohttp import error_line, open_session
from reelbench.loadgen.http.credentials import Credentials

LOOK_SECONDS: Final = 10.0
_MOST: Final = 2 * 1024 * 1024
"""Bytes of an answer that are kept; the rest is counted."""
_HOPS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHANGED: Final = frozenset({301, 302, 303})
"""Redirects that are followed with GET."""


class Look(msgspec.Struct, frozen=True):
    """One answer."""

    status: int | None
    """None: no answer."""
    media_type: str = ""
    headers: Mapping[str, str] = {}
    """By names in lower case."""
    body: bytes = b""
    """At most its first 2 MiB."""
    size: int = 0
    sha256: str = ""
    error: str = ""
    """Why there is no answer, in one line."""
    seconds: float = 0.0
    elsewhere: str = ""
    """Host of another server to which a redirect led."""

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

    async def get(self, path: str, *, seconds: float = LOOK_SECONDS) -> Look:
        """GET a path below the base URL, or an absolute URL."""
        return await self.ask("GET", path, seconds=seconds)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        seconds: float = LOOK_SECONDS,
    ) -> Look:
        """Send a request and follow its redirects; secrets go to the server of the base URL only."""
        url = path if path.startswith(("http://", "https://")) else self.url + path
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                for _ in range(_HOPS):
                    look, location = await self._once(method, url, json, form)
                    if location is None:
                        break
                    if look.status in _CHANGED:
                        method, json, form = "GET", None, None
                    url = urljoin(url, location)
        except TimeoutError:
            look = Look(None, error=f"time-out after {seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            look = Look(None, error=self.credentials.clean(error_line(problem)))
        away = "" if self.credentials.belongs_to(url) or not self.credentials.origin else urlsplit(url).hostname or ""
        return msgspec.structs.replace(look, seconds=time.monotonic() - started, elsewhere=away)

    async def _once(
        self, method: str, url: str, json: Mapping[str, Any] | None, form: Mapping[str, str] | None
    ) -> tuple[Look, str | None]:
        data = None
        if form is not None:
            data = aiohttp.FormData(default_to_multipart=True)
            for name, value in form.items():
                data.add_field(name, value)
        session = await self._session(url)
        async with session.request(method, url, json=json, data=data, allow_redirects=False) as response:
            location = response.headers.get("Location") if response.status in _REDIRECTS else None
            digest, size, kept = hashlib.sha256(), 0, bytearray()
            async for chunk in response.content.iter_any():
                digest.update(chunk)
                size += len(chunk)
                kept += chunk[: max(0, _MOST - len(kept))]
            headers = {name.lower(): value for name, value in response.headers.items()}
            look = Look(
                response.status, response.content_type, headers, bytes(kept), size, digest.hexdigest(), seconds=0.0
            )
            return look, location

    async def _session(self, url: str) -> aiohttp.ClientSession:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            raise ValueError(f"a redirect leads to {parts.scheme or 'no'} address")
        place = (parts.scheme, parts.netloc)
        if place not in self._sessions:
            opened = open_session(url, self.credentials.on(url), 4)
            self._sessions[place] = await self._stack.enter_async_context(opened)
        return self._sessions[place]
