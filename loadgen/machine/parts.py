"""Which processes of this machine are part of a run; all others can disturb it."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from reelbench.loadgen.machine.containers import LOCAL_FORWARDERS, Neighbours, contained, forwarded
from reelbench.loadgen.machine.processes import PROC, Process, descendants
from reelbench.loadgen.machine.sockets import connected_ports, listeners

OWN_PROCESS = "REELBENCH_OWN_PROCESS"
"""Variable with the number of the process whose descendants all belong to the run."""
OWN_ADDRESSES = "REELBENCH_OWN_ADDRESSES"
"""Variable with the addresses (host:port, separated by spaces) of the parts of the stack besides the target."""
MOST_PAUSE = 15
"""Most readings between two looks at the connections of the target; each look that finds nothing new doubles them."""
_CONTAINED = "the load generator runs in a container, in which the processes of the target are not visible"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_and_port(url: str) -> str:
    """Return ``host:port`` of a base URL, which names no user and no password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)}"


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host name; empty when it is unknown."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def is_local(host: str, resolve: Callable[[str], list[str]] = addresses_of) -> bool:
    """Return True for a host that is this machine."""
    own = {one.address.partition("%")[0] for card in psutil.net_if_addrs().values() for one in card}
    return any(ipaddress.ip_address(found.partition("%")[0]).is_loopback or found in own for found in resolve(host))


@dataclass(slots=True)
class Parts:
    """The processes of a run on this machine: a process with its descendants, and servers by their local ports."""

    roots: frozenset[int]
    target_port: int | None = None
    """Local port of the target; None: the target is on another machine."""
    ports: frozenset[int] = frozenset()
    """Local ports of the stack, the target included."""
    proc: Path = PROC
    _serving: dict[int, set[int]] = field(default_factory=dict)
    """Processes that listen on each port."""
    _looked: set[int] = field(default_factory=set)
    """Ports whose processes were found as those that work for the target."""
    _asked: set[int] = field(default_factory=set)
    """Processes of the target whose connections were looked at."""
    _readings: int = 0
    """Readings until the next look at the connections."""
    _pause: int = 0
    """Readings without a look after the next one."""
    _known: dict[int, int] = field(default_factory=dict)
    """Start of each process that was once part of the run, which it stays when its parent has ended."""
    _neighbours: Neighbours = field(init=False)
    _sees_target: bool = False

    def __post_init__(self) -> None:
        self._neighbours = Neighbours(self.proc)

    @classmethod
    def of_run(cls, target: str | None, environment: Mapping[str, str] = os.environ, proc: Path = PROC) -> Parts:
        """Return the parts of a run against a target: this process, those of the suite, and the local servers.

        Args:
            target: base URL; None: the service is not there yet.
            environment: what `own_processes` returned, if there is a suite.
            proc: where processes are read.
        """
        given = environment.get(OWN_PROCESS, "")
        of_target = host_and_port(target) if target is not None else ""
        local = {
            address: int(address.rpartition(":")[2])
            for address in (of_target, *environment.get(OWN_ADDRESSES, "").split())
            if address.rpartition(":")[2].isdecimal() and is_local(address.rpartition(":")[0])
        }
        return cls(
            roots=frozenset({os.getpid(), *([int(given)] if given.isdecimal() else [])}),
            target_port=local.get(of_target),
            ports=frozenset(local.values()),
            proc=proc,
        )

    def find(self, processes: Mapping[int, Process]) -> set[int]:
        """Return the numbers of the processes that are part of the run."""
        serving = {pid for pids in self._serving.values() for pid in pids}
        if self.ports and (not self._serving or not serving <= processes.keys() or not all(self._serving.values())):
            self._serving = listeners(self.ports, self.proc)
            serving = {pid for pids in self._serving.values() for pid in pids}
        containers = forwarded(self.ports, processes, self.proc)
        inside = self._neighbours.of(set(containers.values()), processes)
        target = self._serving.get(self.target_port, set()) if self.target_port is not None else set()
        self._sees_target = any(pid in processes and processes[pid].name not in LOCAL_FORWARDERS for pid in target) or (
            self.target_port in containers and bool(inside)
        )
        kept = {pid for pid, born in self._known.items() if pid in processes and processes[pid].born == born}
        ours = descendants(self.roots, processes)
        found = ours | descendants(serving | inside | kept, processes)
        if beyond := self._beyond(found - ours - descendants(inside, processes)):
            found |= descendants(beyond, processes)
        self._known = {pid: processes[pid].born for pid in found}
        return found

    def _beyond(self, server: set[int]) -> set[int]:
        """Return the processes of this machine that work for a server: it has connections to their ports.

        Args:
            server: processes of a target that the suite did not start, and of what works for it.
        """
        self._readings -= 1
        if not server or (self._readings >= 0 and server <= self._asked):
            return set()
        new = connected_ports(server, self.proc) - self._looked
        # A look takes longer than all else in a reading, and what it finds seldom changes.
        self._pause = 0 if new or not server <= self._asked else min(2 * self._pause + 1, MOST_PAUSE)
        self._readings = self._pause
        self._asked |= server
        self._looked |= new
        return {pid for pids in listeners(new, self.proc).values() for pid in pids} if new else set()

    @property
    def hidden(self) -> str | None:
        """Why the processes of the run cannot be distinguished from others; None: they can."""
        if self.target_port is None:
            return _CONTAINED if contained(self.proc) else None
        if self._sees_target:
            return None
        return (
            f"the process that listens on port {self.target_port} of this machine is not visible to this user "
            "(another user's, or in a container)"
        )


def own_processes(pid: int, urls: Iterable[str]) -> dict[str, str]:
    """Return the variables that say to a load generator which processes besides the target are part of its run.

    Args:
        pid: A process whose descendants are all part of the run.
        urls: Base URLs of the parts of the stack.
    """
    return {OWN_PROCESS: str(pid), OWN_ADDRESSES: " ".join(host_and_port(url) for url in urls)}
