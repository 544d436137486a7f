"""The addresses of the components of one embedded stack, on free ports of loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from reelbench.stack.errors import StackError

_RANGE = range(18_000, 32_000)
"""Below the ephemeral ports of Linux (32768..) and macOS (49152..): a port that is chosen for a process which starts
later is not taken by an outgoing connection of the load."""
_ATTEMPTS = 500


def bound_sockets(count: int, *, choice: random.Random | None = None) -> dict[int, socket.socket]:
    """Return `count` ports with their sockets, which keep every other process from the ports and do not listen yet.

    Raises:
        StackError: no free port was found.
    """
    choice = choice or random.Random()
    found: dict[int, socket.socket] = {}
    for _ in range(_ATTEMPTS):
        if len(found) == count:
            break
        port = choice.choice(_RANGE)
        bound = socket.socket()
        try:
            bound.bind(("127.0.0.1", port))  # without SO_REUSEADDR, which would let other processes bind it as well
        except OSError:
            bound.close()
            continue
        found[port] = bound
    if len(found) < count:
        for bound in found.values():
            bound.close()
        raise StackError(
            f"No {count} free ports found on 127.0.0.1 between {_RANGE.start} and {_RANGE.stop}; "
            "end what holds them, or wait a minute."
        )
    return found


def free_ports(count: int, *, choice: random.Random | None = None) -> list[int]:
    """Return `count` different ports that nothing listens on; another process may still take one before it is bound.

    Raises:
        StackError: no free port was found.
    """
    found = bound_sockets(count, choice=choice)
    for bound in found.values():
        bound.close()
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


class Reserved:
    """Bound sockets of the ports of a stack, each for one process."""

    def __init__(self, sockets: Mapping[int, socket.socket]) -> None:
        self._sockets = dict(sockets)

    @contextmanager
    def handed(self, ports: Mapping[str, int]) -> Iterator[tuple[dict[str, str], list[int]]]:
        """Yield variables and descriptors of the sockets that a process inherits; afterwards they are its own.

        Args:
            ports: Variable of each socket to its port.
        """
        given = {name: self._sockets[port] for name, port in ports.items() if port in self._sockets}
        yield {name: str(one.fileno()) for name, one in given.items()}, [one.fileno() for one in given.values()]
        self.release(*ports.values())

    def release(self, *ports: int) -> None:
        """Close the sockets of some ports, for a process that binds them itself."""
        for port in ports:
            if (bound := self._sockets.pop(port, None)) is not None:
                bound.close()

    def close(self) -> None:
        """Close all sockets that are left."""
        self.release(*self._sockets)


def reserve(components: Sequence[str], loadgens: int = 1) -> tuple[Endpoints, Reserved]:
    """Choose ports as `allocate`, and keep them bound until their processes get them.

    Raises:
        StackError: there are no free ports.
    """
    sockets = bound_sockets(_number(components, loadgens))
    return _endpoints(components, list(sockets)), Reserved(sockets)


def allocate(components: Sequence[str], loadgens: int = 1) -> Endpoints:
    """Choose free ports for the components, for the load generators' metrics and for Prometheus.

    Raises:
        StackError: there are no free ports.
    """
    return _endpoints(components, free_ports(_number(components, loadgens)))


def _number(components: Sequence[str], loadgens: int) -> int:
    return 2 * len(components) + loadgens + 1


def _endpoints(components: Sequence[str], ports: Sequence[int]) -> Endpoints:
    scraped = [*components, LOADGEN]
    return Endpoints(
        api_ports=dict(zip(components, ports, strict=False)),
        metrics_ports=dict(zip(scraped, ports[len(components) :], strict=False)),
        prometheus_port=ports[-1],
        more_loadgens=tuple(ports[len(components) + len(scraped) : -1]),
    )


def numbered(name: str, number: int) -> str:
    """Return the name of one of several processes: the first has no number."""
    return name if number == 1 else f"{name}.{number}"
