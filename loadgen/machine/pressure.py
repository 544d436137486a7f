"""Pressure of a machine and of a control group (PSI), and throttling by a CPU quota, from files of Linux."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reelbench.loadgen.machine.processes import PROC
from reelbench.loadgen.record.conditions import PressureRecord, ThrottlingRecord
from reelbench.loadgen.record.environment import CGROUPS, PROCESS, control_groups

_RESOURCES = ("cpu", "io", "memory")
_MICROSECOND = 1e-6
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Waited:
    """Seconds in which work waited, since boot, by resource and kind, such as ``("cpu", "some")``."""

    seconds: Mapping[tuple[str, str], float]

    def since(self, earlier: Waited, window: float) -> PressureRecord | None:
        """Return the shares of a window in which work waited; None where nothing is known."""

        def share(resource: str, kind: str) -> float | None:
            now, then = (one.seconds.get((resource, kind)) for one in (self, earlier))
            if now is None or then is None or window <= 0:
                return None
            return round(min(1.0, max(0.0, now - then) / window), _DIGITS)

        found = PressureRecord(
            cpu=share("cpu", "some"),
            io=share("io", "some"),
            io_full=share("io", "full"),
            memory=share("memory", "some"),
            memory_full=share("memory", "full"),
        )
        return found if found != PressureRecord() else None


def machine_pressure(proc: Path = PROC) -> Waited:
    """Return how long work of the whole machine waited."""
    return _waited({resource: proc / "pressure" / resource for resource in _RESOURCES})


def group_pressure(cgroups: Path = CGROUPS, process: Path = PROCESS) -> Waited:
    """Return how long work of the control group of this process waited (version 2); empty without such a group."""
    for folder in control_groups(cgroups, process, ""):
        found = _waited({resource: folder / f"{resource}.pressure" for resource in _RESOURCES})
        if found.seconds:
            return found
    return Waited({})


def _waited(files: Mapping[str, Path]) -> Waited:
    seconds = {}
    for resource, path in files.items():
        for line in _lines(path):
            kind, *words = line.split()
            total = next((word.partition("=")[2] for word in words if word.startswith("total=")), "")
            if total.isdecimal():
                seconds[resource, kind] = int(total) * _MICROSECOND
    return Waited(seconds)


@dataclass(frozen=True, slots=True)
class Quotas:
    """Periods and throttled periods since their creation, of the control groups around this process that have them."""

    groups: Mapping[str, tuple[int, int]]

    def since(self, earlier: Quotas) -> ThrottlingRecord | None:
        """Return the throttling of the group that was throttled most; None without a group with a quota."""
        found = [
            ThrottlingRecord(periods=periods - before[0], throttled=throttled - before[1])
            for name, (periods, throttled) in self.groups.items()
            if (before := earlier.groups.get(name)) is not None and periods > before[0]
        ]
        return max(found, key=lambda one: one.share, default=None)


def quotas(cgroups: Path = CGROUPS, process: Path = PROCESS) -> Quotas:
    """Return the use of the CPU quotas of the control groups (version 1 or 2) around this process."""
    groups = {}
    for folder in control_groups(cgroups, process, "cpu"):
        found = dict(line.split()[:2] for line in _lines(folder / "cpu.stat") if len(line.split()) > 1)
        periods, throttled = found.get("nr_periods", ""), found.get("nr_throttled", "")
        if periods.isdecimal() and throttled.isdecimal() and int(periods):
            groups[str(folder)] = (int(periods), int(throttled))
    return Quotas(groups)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
