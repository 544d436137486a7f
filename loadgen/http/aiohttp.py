"""Transport for HTTPS, on aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import aiohttp

from reelbench.loadgen.http.transport import (
    CONNECT_SECONDS,
    HEADERS,
    KEEPALIVE_SECONDS,
    SLOW_STEPS,
    Receiver,
    Request,
    TransportError,
    reason,
)

_PART = 64 * 1024


class AiohttpTransport:
    """A session of aiohttp."""

    def __init__(self, url: str, connections: int, *, dial: tuple[str, int] | None = None) -> None:
        """Prepare the session without connecting; arguments as for `Http1Transport`."""
        self._url, self._server_name, self._fixed = (url, None, {}) if dial is None else _dialled(url, dial)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},  # sizes and checksums are those of the content itself
        )

    async def exchange(self, request: Request, receiver: Receiver) -> None:
        """Implement `Transport.exchange`."""
        headers = self._fixed | dict(request.headers)
        data = None
        if request.body:
            headers["Content-Length"] = str(sum(map(len, request.body)))
            data = _parts(request.body, request.send_rate)
        try:
            async with self._session.request(
                request.method,
                self._url + request.path,
                headers=headers,
                data=data,
                allow_redirects=False,
                server_hostname=self._server_name,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=request.silence),
            ) as response:
                known = {name: response.headers[name] for name in HEADERS if name in response.headers}
                receiver.head(response.status, response.content_type, known)
                async for chunk in response.content.iter_any():
                    receiver.data(chunk)
                    if request.read_rate is not None:
                        await asyncio.sleep(len(chunk) / request.read_rate)
        except (aiohttp.ClientError, OSError, ValueError) as problem:  # time-outs are OSErrors
            raise TransportError(" ".join(_reason(problem).split())) from problem

    async def close(self) -> None:
        """Implement `Transport.close`."""
        await self._session.close()


def _dialled(url: str, dial: tuple[str, int]) -> tuple[str, str | None, dict[str, str]]:
    """Return the URL with another host and port, the name that TLS asks for, and the Host header of the original."""
    parts = urlsplit(url)
    host = f"[{dial[0]}]" if ":" in dial[0] else dial[0]
    original = parts.netloc.rpartition("@")
    user = f"{original[0]}@" if original[1] else ""
    there = parts._replace(netloc=f"{user}{host}:{dial[1]}").geturl()
    return there, parts.hostname, {"Host": original[2]}


async def _parts(body: Sequence[bytes], rate: int | None) -> AsyncIterator[bytes]:
    """Yield a body in parts, so writing a large one does not block the loop; with a rate, as fast as that."""
    step = _PART if rate is None else max(1, min(_PART, rate // SLOW_STEPS))
    for part in body:
        for start in range(0, len(part), step):
            if rate is not None:
                await asyncio.sleep(step / rate)
            yield part[start : start + step]


def _reason(problem: Exception) -> str:
    if isinstance(problem, aiohttp.ClientSSLError):  # its errno is not that of the system
        return f"cannot connect: {problem.__cause__ or problem}"
    if isinstance(problem, aiohttp.ClientConnectorError):
        return f"cannot connect: {reason(problem.os_error)}"
    if isinstance(problem, UnicodeError):  # an invalid host name
        return f"cannot connect: {problem}"
    if isinstance(problem, aiohttp.ClientResponseError):
        return f"not HTTP: {problem.message}"
    if isinstance(problem, TimeoutError):
        return f"time-out: {problem}" if str(problem) else "time-out"
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
