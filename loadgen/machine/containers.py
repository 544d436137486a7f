"""Processes of containers, which Docker reaches from a port of this machine: in networks of their own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from reelbench.loadgen.machine.processes import PROC, Process

_DOCKER: Final = "docker-proxy"
LOCAL_FORWARDERS: Final = frozenset({_DOCKER, "rootlessport", "slirp4netns", "pasta"})
"""Programs that listen on the port of a server in a container of this machine."""
FORWARDERS: Final = LOCAL_FORWARDERS | {"ssh", "kubectl"}
"""Programs that listen on the port of a server in a container or on another machine."""
_STARTING: Final = "runc"
"""Begin of the name of a process that is on its way into a container."""
_FIRST_PIDS: Final = "pid:[4026531836]"
"""The namespace of process numbers that a kernel begins with (PROC_PID_INIT_INO)."""


def contained(proc: Path = PROC) -> bool:
    """Return whether this process is in a container: it sees the processes of the container only."""
    try:
        return os.readlink(proc / "self" / "ns" / "pid") != _FIRST_PIDS  # noqa: PTH115 - no path, but a name
    except OSError:
        return False


def forwarded(ports: Collection[int], processes: Mapping[int, Process], proc: Path = PROC) -> dict[int, IPv4Address]:
    """Return the address of the container to which Docker forwards each of some ports.

    Command lines can hold secrets, so they are not read; those of ``docker-proxy`` hold addresses and ports only.
    """
    found = {}
    for one in processes.values():
        if one.name != _DOCKER:
            continue
        words = _text(proc / str(one.pid) / "cmdline").split("\0")
        given = dict(itertools.pairwise(words))
        port, address = given.get("-host-port", ""), given.get("-container-ip", "")
        if port.isdecimal() and int(port) in ports and (to := _address(address)) is not None:
            found[int(port)] = to
    return found


def main_process(address: IPv4Address, processes: Mapping[int, Process], proc: Path = PROC) -> int | None:
    """Return the process with which the container at an address began; None: no process has this address."""
    inside = [one for one in processes.values() if _has(address, _text(proc / str(one.pid) / "net" / "fib_trie"))]
    return min(inside, key=lambda one: (one.born, one.pid)).pid if inside else None


@dataclass(slots=True)
class Neighbours:
    """Finds the processes in the networks of some containers, such as all containers of a compose project."""

    proc: Path = PROC
    _networks: dict[int, tuple[int, frozenset[IPv4Network]]] = field(default_factory=dict)
    """Start and networks of each process that was looked at; a process seldom changes its network."""

    def of(self, addresses: Collection[IPv4Address], processes: Mapping[int, Process]) -> set[int]:
        """Return the processes of containers that are in one network with one of some addresses."""
        if not addresses:
            return set()
        host = _text(self.proc / "self" / "net" / "route")  # this machine is in all networks of its containers
        known = self._networks
        self._networks = {}
        for one in processes.values():
            seen = known.get(one.pid)
            if seen is None or seen[0] != one.born:
                routes = _text(self.proc / str(one.pid) / "net" / "route")
                seen = one.born, frozenset() if routes == host else _networks(routes)
            if not one.name.startswith(_STARTING):
                self._networks[one.pid] = seen
        return {
            pid
            for pid, (_, networks) in self._networks.items()
            if any(address in network for network in networks for address in addresses)
        }


def _networks(routes: str) -> frozenset[IPv4Network]:
    """Return the networks that a table of routes reaches without a gateway."""
    rows = (line.split() for line in routes.splitlines()[1:])
    return frozenset(
        IPv4Network(f"{_little(to)}/{_little(mask)}", strict=False)
        for _, to, gateway, _, _, _, _, mask, *_ in rows
        if int(gateway, 16) == 0 and int(mask, 16) != 0
    )


def _little(text: str) -> IPv4Address:
    """Return an address that the kernel wrote as a number of this machine's byte order."""
    return IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))


def _has(address: IPv4Address, table: str) -> bool:
    """Return whether a routing table (``fib_trie``) has an address as one of its own."""
    lines = [line.strip() for line in table.splitlines()]
    return any(line == f"|-- {address}" and after == "/32 host LOCAL" for line, after in itertools.pairwise(lines))


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:  # of version 6, which these tables do not have
        return None


def _text(path: Path) -> str:
    """Return the text of a file; empty when its process has ended."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
