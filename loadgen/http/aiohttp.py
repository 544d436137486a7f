"""Transport for HTTPS, on aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import aiohttp

from reelbench.loadgen.http.transport import (
    CONNECT_SECONDS,
    HEADERS,
    KEEPALIVE_SECONDS,
    Receiver,
    Request,
    TransportError,
    reason,
)

_PART = 64 * 1024


class AiohttpTransport:
    """A session of aiohttp."""

    def __init__(self, url: str, connections: int) -> None:
        """Prepare the session without connecting; arguments as for `Http1Transport`."""
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},  # sizes and checksums are those of the content itself
        )

    async def exchange(self, request: Request, receiver: Receiver) -> None:
        """Implement `Transport.exchange`."""
        headers = dict(request.headers)
        data = None
        if request.body:
            headers["Content-Length"] = str(sum(map(len, request.body)))
            data = _parts(request.body)
        try:
            async with self._session.request(
                request.method,
                self._url + request.path,
                headers=headers,
                data=data,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=request.silence),
            ) as response:
                known = {name: response.headers[name] for name in HEADERS if name in response.headers}
                receiver.head(response.status, response.content_type, known)
                async for chunk in response.content.iter_any():
                    receiver.data(chunk)
        except (aiohttp.ClientError, OSError, ValueError) as problem:  # time-outs are OSErrors
            raise TransportError(" ".join(_reason(problem).split())) from problem

    async def close(self) -> None:
        """Implement `Transport.close`."""
        await self._session.close()


async def _parts(body: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Yield a body in parts, so writing a large one does not block the loop."""
    for part in body:
        for start in range(0, len(part), _PART):
            yield part[start : start + _PART]


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
