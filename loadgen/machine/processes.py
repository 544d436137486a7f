"""The processes of a Linux machine and its CPU time, from ``/proc``; its folder is an argument."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_FIELDS = 20


@dataclass(frozen=True, slots=True)
class Process:
    """One process; times are CPU seconds since its start."""

    pid: int
    parent: int
    born: int
    """Start in clock ticks since boot; with the number, it names one process only."""
    name: str
    """Name of the program, at most 15 characters. Command lines can hold secrets, so they are not read."""
    own: float
    ended_children: float
    """CPU seconds of its children that have ended."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU seconds of some CPUs since boot."""

    work: float
    """Of processes, in user and kernel mode."""
    interrupts: float
    idle: float
    """Idle, or waiting for a disk."""
    steal: float
    """Taken by the hypervisor while a process wanted to run."""

    def since(self, earlier: CpuTimes) -> CpuTimes:
        """Return the difference to an earlier reading; a counter that went back counts as unchanged."""
        return CpuTimes(
            work=max(0.0, self.work - earlier.work),
            interrupts=max(0.0, self.interrupts - earlier.interrupts),
            idle=max(0.0, self.idle - earlier.idle),
            steal=max(0.0, self.steal - earlier.steal),
        )

    def plus(self, more: CpuTimes) -> CpuTimes:
        """Return the sum with another difference."""
        return CpuTimes(
            self.work + more.work, self.interrupts + more.interrupts, self.idle + more.idle, self.steal + more.steal
        )

    @property
    def total(self) -> float:
        """All CPU seconds."""
        return self.work + self.interrupts + self.idle + self.steal


def read_cpu_times(cpus: Collection[int], proc: Path = PROC) -> CpuTimes | None:
    """Return the CPU seconds of some CPUs since boot; None on a system without ``/proc/stat``."""
    wanted = {f"cpu{number}" for number in cpus}
    work = interrupts = idle = steal = 0
    found = False
    for line in _lines(proc / "stat"):
        name, *words = line.split()
        if name not in wanted:
            continue
        found = True
        user, nice, system, idling, waiting, hard, soft, stolen = (*map(int, words[:8]), *[0] * 8)[:8]
        work += user + nice + system
        idle += idling + waiting
        interrupts += hard + soft
        steal += stolen
    return CpuTimes(work * _TICK, interrupts * _TICK, idle * _TICK, steal * _TICK) if found else None


def read_processes(proc: Path = PROC) -> dict[int, Process]:
    """Return all visible processes by number; empty on a system without ``/proc``."""
    found = {}
    folder = os.fsencode(proc)
    try:
        names = os.listdir(folder)  # noqa: PTH208 - read each second: names alone are needed
    except OSError:
        return {}
    for name in names:
        if name.isdigit() and (one := _read_process(folder + b"/" + name + b"/stat")) is not None:
            found[one.pid] = one
    return found


def _read_process(path: bytes) -> Process | None:
    """Read one process; None when it has just ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            line = os.read(descriptor, 1024)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    opening, closing = line.find(b"("), line.rfind(b")")
    fields = line[closing + 2 :].split()
    if opening < 0 or len(fields) < _FIELDS:
        return None
    name = line[opening + 1 : closing].decode(errors="replace")
    return Process(
        pid=int(line[:opening]),
        parent=int(fields[1]),
        born=int(fields[19]),
        name="".join(letter if letter.isprintable() else "?" for letter in name) or "?",
        own=(int(fields[11]) + int(fields[12])) * _TICK,
        ended_children=(int(fields[13]) + int(fields[14])) * _TICK,
    )


def descendants(roots: Iterable[int], processes: Mapping[int, Process]) -> set[int]:
    """Return some processes with their children, the children of these, and so on."""
    children: dict[int, list[int]] = {}
    for one in processes.values():
        children.setdefault(one.parent, []).append(one.pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
