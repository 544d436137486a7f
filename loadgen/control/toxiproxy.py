"""Toxiproxy: the server that makes faults of the network, started here or found running, and its HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from reelbench.loadgen.control.guard import Guard
from reelbench.loadgen.control.side import SideError

URL_VARIABLE, LISTEN_VARIABLE, BINARY_VARIABLE = "TOXIPROXY_URL", "TOXIPROXY_LISTEN", "TOXIPROXY_BIN"
PROGRAM = "toxiproxy-server"
CURE = (
    f"build it with `make stack-tools` (needs Go), put {PROGRAM} on the PATH, or name a running one in {URL_VARIABLE}"
)
START_SECONDS = 10.0
TIMEOUT_SECONDS = 5.0
END_SECONDS = 2.0
_LOOK_AGAIN = 0.05

T = TypeVar("T")


class ToxiproxyError(SideError):
    """Toxiproxy is not there or refused a request; the message is one line."""


class Version(msgspec.Struct, frozen=True):
    """Answer of ``/version``."""

    version: str


class Proxy(msgspec.Struct, frozen=True):
    """A proxy: where it listens, and to which address it forwards."""

    name: str
    listen: str
    upstream: str
    enabled: bool


class Toxic(msgspec.Struct, frozen=True):
    """A fault of a proxy."""

    name: str
    type: str
    stream: Literal["upstream", "downstream"]
    toxicity: float
    """Share of connections."""
    attributes: dict[str, int]
    """Milliseconds, or kilobytes per second."""


class Enabled(msgspec.Struct, frozen=True):
    """Body of the request that switches a proxy on or off."""

    enabled: bool


class Toxiproxy:
    """Client of the HTTP API at one address; all methods raise ToxiproxyError."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self._session = session

    async def version(self) -> str:
        """Return the version of the server."""
        return (await self._ask(Version, "GET", "/version")).version

    async def create(self, name: str, listen: str, upstream: str) -> Proxy:
        """Create a proxy; port 0 of `listen` becomes a free one."""
        return await self._ask(Proxy, "POST", "/proxies", Proxy(name, listen, upstream, enabled=True))

    async def enable(self, name: str, *, enabled: bool) -> None:
        """Let a proxy accept connections, or refuse them and close those that it has."""
        await self._ask(Proxy, "POST", f"/proxies/{name}", Enabled(enabled))

    async def add(self, proxy: str, toxic: Toxic) -> None:
        """Begin a fault."""
        await self._ask(Toxic, "POST", f"/proxies/{proxy}/toxics", toxic)

    async def remove(self, proxy: str, toxic: str) -> None:
        """End a fault; nothing happens without it."""
        await self._ask(None, "DELETE", f"/proxies/{proxy}/toxics/{toxic}", absent=True)

    async def delete(self, proxy: str) -> None:
        """Remove a proxy; nothing happens without it."""
        await self._ask(None, "DELETE", f"/proxies/{proxy}", absent=True)

    async def _ask(
        self,
        kind: type[T] | None,
        method: str,
        path: str,
        body: msgspec.Struct | None = None,
        *,
        absent: bool = False,
    ) -> T:
        place = f"{method} {self.url}{path}"
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, self.url + path, data=data, allow_redirects=False) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ToxiproxyError(f"Toxiproxy does not answer: {place}: {type(error).__name__}") from error
        if kind is None and (response.ok or (absent and response.status == 404)):  # noqa: PLR2004 - HTTP's own number
            return None  # type: ignore[return-value] # the caller expects nothing
        if not response.ok or kind is None:
            said = " ".join(answer.decode(errors="replace").split())[:150]
            raise ToxiproxyError(f"{place} answered {response.status} {said}")
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ToxiproxyError(f"{place} gave an unexpected answer: {error}") from error


@asynccontextmanager
async def open_toxiproxy(environment: Mapping[str, str], guard: Guard) -> AsyncIterator[Toxiproxy]:
    """Yield the client of a Toxiproxy: the one that TOXIPROXY_URL names, or one started here, which ends afterwards.

    Raises:
        ToxiproxyError: there is none; the message names the cure.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        if named := environment.get(URL_VARIABLE):
            running = Toxiproxy(named, session)
            await running.version()
            yield running
            return
        program = find_program(environment)
        if program is None:
            raise ToxiproxyError("there is no Toxiproxy")
        port = _free_port()
        process = await _start(program, port)
        entry = guard.end_group(process.pid)
        try:
            started = Toxiproxy(f"http://127.0.0.1:{port}", session)
            await _ready(started, process, program)
            yield started
        finally:
            await _end(process)
            guard.done(entry)


def find_program(environment: Mapping[str, str]) -> str | None:
    """Return the server that TOXIPROXY_BIN names, or the one on the path."""
    return environment.get(BINARY_VARIABLE) or shutil.which(PROGRAM, path=environment.get("PATH", os.defpath))


def listen_address(environment: Mapping[str, str], api: str) -> str:
    """Return the address at which a proxy listens; port 0 is a free one."""
    return environment.get(LISTEN_VARIABLE) or ("127.0.0.1:0" if _is_loopback(_host(api)) else "0.0.0.0:0")


def reachable(api: str, listen: str) -> tuple[str, int]:
    """Return host and port at which this machine reaches a proxy of a Toxiproxy."""
    host, _, port = listen.rpartition(":")
    own = host.strip("[]") in {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return (_host(api) if own else host.strip("[]")), int(port)


async def _start(program: str, port: int) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            str(Path(program)), "-host", "127.0.0.1", "-port", str(port),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ToxiproxyError(f"{program} cannot be started ({error.strerror})") from error


async def _ready(toxiproxy: Toxiproxy, process: asyncio.subprocess.Process, program: str) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                if process.returncode is not None:
                    raise ToxiproxyError(f"{program} ended with exit status {process.returncode}")
                with contextlib.suppress(ToxiproxyError):
                    await toxiproxy.version()
                    return
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError as error:
        raise ToxiproxyError(f"{program} did not answer within {START_SECONDS:g} s") from error


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
                return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _host(url: str) -> str:
    return urlsplit(url).hostname or "127.0.0.1"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
