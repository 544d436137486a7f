"""What a container allows this process: the control groups of Linux, version 2 or 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reelbench.loadgen.record.records import LimitsRecord

CGROUPS, PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_NO_LIMIT = 2**60
"""Version 1 writes the largest multiple of a page where nothing is limited."""


def read_limits(cgroups: Path = CGROUPS, process: Path = PROCESS) -> LimitsRecord | None:
    """The tightest limits of the control groups around this process; None when nothing is limited or known."""
    cores = min(filter(None, (_cores(folder) for folder in _folders(cgroups, process, "cpu"))), default=None)
    memory = min(filter(None, (_memory(folder) for folder in _folders(cgroups, process, "memory"))), default=None)
    return LimitsRecord(cpu_cores=cores, memory_bytes=memory) if cores or memory else None


def _folders(cgroups: Path, process: Path, controller: str) -> Iterator[Path]:
    """The group of this process and those around it; within a container often the root alone is seen."""
    for line in (_text(process) or "0::/").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroups / controller if controllers else cgroups
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        yield from (root.joinpath(*parts[:length]) for length in range(len(parts), -1, -1))


def _cores(folder: Path) -> float | None:
    words = (_text(folder / "cpu.max") or "").split()
    if not words:
        words = [_text(folder / "cpu.cfs_quota_us") or "", _text(folder / "cpu.cfs_period_us") or ""]
    quota, period = (_number(word) for word in (*words, "", "")[:2])
    return quota / period if quota and period else None


def _memory(folder: Path) -> int | None:
    found = _number(_text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes") or "")
    return found if found and found < _NO_LIMIT else None


def _number(text: str) -> int | None:
    """A positive whole number; None for `max`, -1 and what is no number."""
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
