"""Transport for HTTPS and for proxies, on aiohttp."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from urllib.parse import unquote, urlsplit

import aiohttp

from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials
from reelbench.loadgen.http.transport import (
    CERTIFICATE,
    CONNECT_SECONDS,
    HEADERS,
    KEEPALIVE_SECONDS,
    Receiver,
    Request,
    TransportError,
    reason,
)
from reelbench.loadgen.record.address import shown_url

_PART = 64 * 1024
_OTHER_HOST = "write the host that it names into --target, or accept it with --insecure"
_CURES = {
    9: "correct the clock of this machine, or accept it with --insecure",
    10: "renew it at the server, or accept it with --insecure",
    62: _OTHER_HOST,
    64: _OTHER_HOST,
}
"""OpenSSL's code for a certificate that is refused -> the cure, where it is not the authority that is unknown."""
_ALERTS = {
    "certificate required": "the server asks for the client's; give --client-cert and --client-key",
    "unknown ca": "the server refused the client's; give a --client-cert of an authority that the server trusts",
    "wrong version number": "the server speaks no TLS on this port; write http:// in --target",
    "record layer failure": "the server speaks no TLS on this port; write http:// in --target",
}
"""Phrase of an error of TLS -> what it means."""


class AiohttpTransport:
    """A session of aiohttp."""

    def __init__(self, url: str, connections: int, credentials: Credentials = NO_CREDENTIALS) -> None:
        """Prepare the session without connecting; arguments as for `Http1Transport`."""
        self._url = url
        self._credentials = credentials
        self._session = open_session(url, credentials, aiohttp.ClientTimeout(total=None), connections)

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
            raise TransportError(self._credentials.clean(" ".join(_reason(problem).split()))) from None

    async def close(self) -> None:
        """Implement `Transport.close`."""
        await self._session.close()


def open_session(
    url: str, credentials: Credentials, timeout: aiohttp.ClientTimeout, connections: int
) -> aiohttp.ClientSession:
    """Return a session for one server: its headers, certificates and proxy."""
    proxy = credentials.proxy(url)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=credentials.tls() if url.startswith("https:") else True,
        ),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={
            "User-Agent": "reelbench",
            **credentials.headers,
            "Accept-Encoding": "identity",  # sizes and checksums are those of the content itself
        },
        proxy=shown_url(proxy) if proxy is not None else None,
        proxy_auth=_login(proxy) if proxy is not None else None,
    )


def _login(proxy: str) -> aiohttp.BasicAuth | None:
    """Return user and password of a proxy's URL."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    return aiohttp.BasicAuth(unquote(parts.username), unquote(parts.password or ""), "utf-8")


async def _parts(body: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Yield a body in parts, so writing a large one does not block the loop."""
    for part in body:
        for start in range(0, len(part), _PART):
            yield part[start : start + _PART]


def _reason(problem: Exception) -> str:
    match problem:
        case aiohttp.ClientSSLError() | ssl.SSLError():  # its errno is not that of the system
            line = _tls_reason(problem)
        case aiohttp.ClientProxyConnectionError():
            line = f"cannot connect to the proxy: {reason(problem.os_error)}"
        case aiohttp.ClientConnectorError():
            line = f"cannot connect: {reason(problem.os_error)}"
        case UnicodeError():  # an invalid host name
            line = f"cannot connect: {problem}"
        case aiohttp.ClientHttpProxyError():
            line = f"the proxy refused the connection with HTTP {problem.status}"
        case aiohttp.ClientResponseError():
            line = f"not HTTP: {problem.message}"
        case TimeoutError():
            line = f"time-out: {problem}" if str(problem) else "time-out"
        case _:
            line = f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
    return line


def _tls_reason(problem: Exception) -> str:
    """Return what is wrong with TLS, with its cure where a certificate is the reason."""
    causes = (getattr(problem, "certificate_error", None), problem.__cause__, problem)
    error = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if isinstance(error, ssl.SSLCertVerificationError):
        cure = _CURES.get(error.verify_code, "trust its authority with --ca-file, or accept it with --insecure")
        return f"{CERTIFICATE}{error.verify_message}; {cure}"
    text = str(error or problem)
    for phrase, meaning in _ALERTS.items():
        if phrase in text.lower().replace("_", " "):
            return f"{CERTIFICATE}{meaning}"
    return f"cannot connect: {getattr(error, 'reason', None) or text}"
