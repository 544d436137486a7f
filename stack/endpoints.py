"""The addresses of the components of one embedded stack, on free ports of loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reelbench.stack.errors import StackError

_RANGE = range(18_000, 32_000)
"""Below the ephemeral ports of Linux (32768..) and macOS (49152..): a port that is chosen for a process which starts
later is not taken by an outgoing connection of the load."""
_ATTEMPTS = 500


def free_ports(count: int, *, choice: random.Random | None = None) -> list[int]:
    """Return `count` different ports that nothing listens on; another process may still take one before it is bound.

    Raises:
        StackError: no free port was found.
    """
    choice = choice or random.Random()
    found: set[int] = set()
    for _ in range(_ATTEMPTS):
        if len(found) == count:
            break
        port = choice.choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    if len(found) < count:
        raise StackError(
            f"No {count} free ports found on 127.0.0.1 between {_RANGE.start} and {_RANGE.stop}; "
            "end what holds them, or wait a minute."
        )
    return list(found)


SERVICE, PROVIDERS, LOADGEN, PROMETHEUS = "service", "providers", "loadgen", "prometheus"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The ports of a stack, all on loopback."""

    api_ports: Mapping[str, int]
    """service.name -> port of its API, for the components that this stack starts."""
    metrics_ports: Mapping[str, int]
    """service.name -> port of its ``/metrics``, for everything that Prometheus scrapes."""
    prometheus_port: int
    more_loadgens: tuple[int, ...] = ()
    """Ports of the ``/metrics`` of the load generators after the first."""

    def url(self, name: str) -> str:
        """Return the base URL of a component's API."""
        return f"http://127.0.0.1:{self.api_ports[name]}"

    @property
    def prometheus_url(self) -> str:
        """Base URL of Prometheus."""
        return f"http://127.0.0.1:{self.prometheus_port}"

    @property
    def targets(self) -> dict[str, tuple[str, ...]]:
        """What Prometheus scrapes: service.name -> host:port of each process."""
        more = {LOADGEN: self.more_loadgens}
        ports = {name: (port, *more.get(name, ())) for name, port in self.metrics_ports.items()}
        return {name: tuple(f"127.0.0.1:{port}" for port in some) for name, some in ports.items()}

    def of_loadgen(self, number: int) -> Endpoints:
        """Return the endpoints for load generator `number`, from 1: its own port has the name of all."""
        ports = (self.metrics_ports[LOADGEN], *self.more_loadgens)
        return replace(self, metrics_ports={**self.metrics_ports, LOADGEN: ports[number - 1]})


def allocate(components: list[str], loadgens: int = 1) -> Endpoints:
    """Choose free ports for the components, for the load generators' metrics and for Prometheus.

    Raises:
        StackError: there are no free ports.
    """
    scraped = [*components, LOADGEN]
    ports = free_ports(len(components) + len(scraped) + loadgens)
    return Endpoints(
        api_ports=dict(zip(components, ports, strict=False)),
        metrics_ports=dict(zip(scraped, ports[len(components) :], strict=False)),
        prometheus_port=ports[-1],
        more_loadgens=tuple(ports[len(components) + len(scraped) : -1]),
    )


def numbered(name: str, number: int) -> str:
    """Return the name of one of several processes: the first has no number."""
    return name if number == 1 else f"{name}.{number}"
