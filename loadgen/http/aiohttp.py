"""Transport for HTTPS and for proxies, on aiohttp."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import aiohttp

from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials
from reelbench.loadgen.http.transport import (
    CERTIFICATE,
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
_OTHER_HOST = "write the host that it names into --target, or accept it with --insecure"
_CURES = {
    9: "correct the clock of this machine, or accept it with --insecure",
    10: "renew it at the server, or accept it with --insecure",
    62: _OTHER_HOST,
    64: _OTHER_HOST,
}
"""OpenSSL's code for a certificate that is refused -> the cure, where it is not the authority that is unknown."""
_NO_CLIENT = (
    f"{CERTIFICATE}the server ended the connection after the handshake, as a server does that asks for the client's; "
    "give --client-cert and --client-key of an authority that the server trusts"
)
"""A refused client's certificate ends in no other error: TLS 1.3 tells the client after the handshake."""
_ALERTS = {
    "wrong version number": "the server speaks no TLS on this port; write http:// in --target",
    "record layer failure": "the server speaks no TLS on this port; write http:// in --target",
}
"""Phrase of an error of TLS -> what it means."""


class AiohttpTransport:
    """A session of aiohttp."""

    def __init__(
        self,
        url: str,
        connections: int,
        credentials: Credentials = NO_CREDENTIALS,
        *,
        dial: tuple[str, int] | None = None,
    ) -> None:
        """Prepare the session without connecting; arguments as for `Http1Transport`."""
        self._url, self._server_name, self._fixed = (url, None, {}) if dial is None else _dialled(url, dial)
        self._credentials = credentials
        self._answered = False
        self._session = open_session(url, credentials, connections)

    async def exchange(self, request: Request, receiver: Receiver) -> None:
        """Implement `Transport.exchange`."""
        headers = self._fixed | dict(line.split(": ", 1) for line in request.headers.split("\r\n") if line)
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
                self._answered = True
                receiver.head(response.status, response.content_type, known)
                async for chunk in response.content.iter_any():
                    receiver.data(chunk)
                    if request.read_rate is not None:
                        await asyncio.sleep(len(chunk) / request.read_rate)
        except (aiohttp.ClientError, OSError, ValueError) as problem:  # time-outs are OSErrors
            line = error_line(problem)
            if isinstance(problem, aiohttp.ServerDisconnectedError) and self._url.startswith("https:"):
                line = line if self._answered else _NO_CLIENT
            raise TransportError(self._credentials.clean(line)) from None

    async def close(self) -> None:
        """Implement `Transport.close`."""
        await self._session.close()


def open_session(url: str, credentials: Credentials, connections: int) -> aiohttp.ClientSession:
    """Return a session for one server: its headers, certificates and proxy; each request has its own time-out."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=credentials.tls() if url.startswith("https:") else True,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={
            "User-Agent": "reelbench",
            **credentials.headers,
            "Accept-Encoding": "identity",  # sizes and checksums are those of the content itself
        },
        proxy=credentials.proxy(url),
    )


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


def error_line(problem: Exception) -> str:
    """Return an error of aiohttp or the system as one line."""
    return " ".join(_reason(problem).split())


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
        return f"{CERTIFICATE}{error.verify_message.rstrip('.')}; {cure}"
    text = str(error or problem)
    for phrase, meaning in _ALERTS.items():
        if phrase in text.lower().replace("_", " "):
            return f"{CERTIFICATE}{meaning}"
    return f"cannot connect: {getattr(error, 'reason', None) or text}"
