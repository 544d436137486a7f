"""Faults of the network between load generator and target, as toxics of one proxy."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from reelbench.loadgen.control.guard import Guard
from reelbench.loadgen.control.side import Applied, FaultState
from reelbench.loadgen.control.toxiproxy import (
    Toxic,
    Toxiproxy,
    ToxiproxyError,
    listen_address,
    open_toxiproxy,
    reachable,
)
from reelbench.loadgen.http.credentials import NO_CREDENTIALS, Credentials
from reelbench.loadgen.http.transport import Request, Transport, TransportError, open_transport
from reelbench.loadgen.plan.fault_plan import PlannedFault

_TYPES = {"latency": "latency", "bandwidth": "bandwidth", "timeout": "timeout", "reset": "reset_peer"}
"""Kinds of fault to types of toxics."""
_PORTS = {"http": 80, "https": 443}
LATENCY_REQUESTS = 20
LATENCY_SECONDS = 20.0


@dataclass(slots=True)
class NetworkSide:
    """One proxy before the target."""

    toxiproxy: Toxiproxy
    proxy: str
    """Name of the proxy."""
    address: tuple[str, int]
    """Host and port to which the load generator connects instead of the target's."""
    version: str
    _toxics: list[str] = field(default_factory=list)
    _down: bool = False

    async def inject(self, faults: Sequence[PlannedFault], lifetime: float) -> Applied:
        """Begin faults."""
        del lifetime  # the guard removes the proxy if this process dies
        for number, fault in enumerate(faults):
            if fault.kind == "down":
                self._down = True
                await self.toxiproxy.enable(self.proxy, enabled=False)
                continue
            toxic = toxic_of(fault, f"{fault.kind}_{number}")
            self._toxics.append(toxic.name)
            await self.toxiproxy.add(self.proxy, toxic)
        return Applied()

    async def lift(self) -> FaultState:
        """End all faults."""
        while self._toxics:
            await self.toxiproxy.remove(self.proxy, self._toxics[-1])
            self._toxics.pop()
        if self._down:
            await self.toxiproxy.enable(self.proxy, enabled=True)
            self._down = False
        return FaultState()

    async def faults(self) -> FaultState:
        """Return no rules: Toxiproxy counts nothing."""
        return FaultState()


@asynccontextmanager
async def open_network(target: str, environment: Mapping[str, str], guard: Guard) -> AsyncIterator[NetworkSide]:
    """Yield a proxy before a target, removed afterwards in every case.

    Args:
        target: base URL.
        environment: names the Toxiproxy, as `open_toxiproxy` reads it.
        guard: removes the proxy if this process dies.

    Raises:
        ToxiproxyError: there is no Toxiproxy, or it makes no proxy.
    """
    parts = urlsplit(target)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    async with open_toxiproxy(environment, guard) as toxiproxy:
        name = f"reelbench-{secrets.token_hex(4)}"
        made = await toxiproxy.create(
            name, listen_address(environment, toxiproxy.url), f"{host}:{parts.port or _PORTS[parts.scheme]}"
        )
        entry = guard.delete(f"{toxiproxy.url}/proxies/{name}")
        try:
            address = reachable(toxiproxy.url, made.listen)
            yield NetworkSide(toxiproxy, name, address, await toxiproxy.version())
        finally:
            with suppress(ToxiproxyError):  # one that is gone has no proxy any more
                await toxiproxy.delete(name)
            guard.done(entry)


async def added_latency(
    target: str, address: tuple[str, int], credentials: Credentials = NO_CREDENTIALS
) -> tuple[list[float], list[float]]:
    """Return the seconds of small requests to a target, without and with its proxy, in alternation.

    Both are empty when a request got no answer.
    """
    ways: list[tuple[Transport, list[float]]] = [
        (open_transport(target, 1, credentials), []),
        (open_transport(target, 1, credentials, dial=address), []),
    ]
    try:
        async with asyncio.timeout(LATENCY_SECONDS):
            for number in range(LATENCY_REQUESTS + 1):
                for transport, seconds in ways:
                    begun = time.monotonic()
                    await transport.exchange(Request("GET", "/v1/videos?limit=1"), _Ignored())
                    if number:  # the first one opens the connection
                        seconds.append(time.monotonic() - begun)
    except (TransportError, TimeoutError):
        return [], []
    finally:
        for transport, _ in ways:
            await transport.close()
    return ways[0][1], ways[1][1]


class _Ignored:
    """A receiver that keeps nothing of an answer."""

    def head(self, status: int, media_type: str, headers: Mapping[str, str]) -> None:
        """Ignore the head."""

    def data(self, chunk: bytes) -> None:
        """Ignore a part of the body."""

    def whole(self, media_type: str, data: bytes, start: int, /) -> None:
        """Ignore a whole answer."""


def toxic_of(fault: PlannedFault, name: str) -> Toxic:
    """Return the toxic that makes a planned fault."""
    milliseconds = round((fault.seconds or 0.0) * 1000)
    attributes = {
        "latency": {"latency": milliseconds, "jitter": round((fault.jitter or 0.0) * 1000)},
        "bandwidth": {"rate": fault.kilobytes_per_second or 0},
    }.get(fault.kind, {"timeout": milliseconds})
    return Toxic(name, _TYPES[fault.kind], fault.direction or "downstream", fault.rate, attributes)
