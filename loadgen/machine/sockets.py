"""Which processes of a Linux machine serve which TCP ports, from ``/proc``, as far as this user may see them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reelbench.loadgen.machine.processes import PROC

_LISTENING, _ESTABLISHED = "0A", "01"
_USED = frozenset({_LISTENING, _ESTABLISHED})
"""Most lines can be sockets that were closed some seconds ago; they are not parsed, since this is read under load."""


@dataclass(frozen=True, slots=True)
class _Socket:
    """One line of the kernel's table of TCP sockets."""

    local: tuple[str, int]
    """Address, as the kernel writes it, and port."""
    remote: tuple[str, int]
    state: str
    link: str
    """Name of the socket among the open files of its process."""


def listeners(ports: Collection[int], proc: Path = PROC) -> dict[int, set[int]]:
    """Return the processes that listen on each of some ports."""
    sockets = {one.link: one.local[1] for one in _sockets(proc) if one.state == _LISTENING and one.local[1] in ports}
    found: dict[int, set[int]] = {port: set() for port in ports}
    if sockets:
        for folder in proc.glob("[0-9]*"):
            for port in _held(folder / "fd", sockets):
                found[port].add(int(folder.name))
    return found


def connected_ports(processes: Iterable[int], proc: Path = PROC) -> set[int]:
    """Return the ports of this machine to which some processes have a connection, other than those they serve."""
    known = list(_sockets(proc))
    served = {one.local[1] for one in known if one.state == _LISTENING}
    # A connection within the machine has the same address at both ends; the side that serves is the other one.
    sockets = {
        one.link: one.remote[1]
        for one in known
        if one.state == _ESTABLISHED and one.local[0] == one.remote[0] and one.remote[1] in served
    }
    return {port for pid in processes for port in _held(proc / str(pid) / "fd", sockets)} if sockets else set()


def _sockets(proc: Path) -> Iterator[_Socket]:
    for name in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / name).read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] not in _USED:
                continue
            yield _Socket(_place(words[1]), _place(words[2]), words[3], f"socket:[{words[9]}]")


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, int(port, 16)


def _held(folder: Path, sockets: dict[str, int]) -> set[int]:
    """Return the ports whose sockets a process has open; empty where this user may not look."""
    ports: set[int] = set()
    try:
        names = os.listdir(folder)  # noqa: PTH208 - of many processes: names alone are needed
    except OSError:  # another user's process, or one that has just ended
        return ports
    for name in names:
        with contextlib.suppress(OSError):  # closed meanwhile
            port = sockets.get(os.readlink(folder / name))  # noqa: PTH115 - text, of many links
            if port is not None:
                ports.add(port)
    return ports
