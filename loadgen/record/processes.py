"""``processes.jsonl``: CPU time and memory of the processes of a run, read on their machine through the scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import PROCESSES_FILE, read_lines


class Part(StrEnum):
    """A group of processes."""

    SERVICE = "service"
    """The processes that listen on the port of the target."""
    WORKERS = "workers"
    """Their children, such as media workers."""
    PROVIDERS = "providers"
    LOADGEN = "loadgen"


class PartUsage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Usage of one part, written as a list of three numbers."""

    cpu: float
    """CPU seconds since the start of each process, added up; those of ended processes stay in it."""
    memory: int
    """Resident bytes; shared pages count for each process."""
    processes: int


class UsageSample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One reading of all parts that are visible."""

    at: float
    """Unix time, on the clock of the records."""
    parts: dict[Part, PartUsage]


def read_usage(folder: Path) -> Iterator[UsageSample]:
    """Yield the samples in order of time; none where no process of the target was visible.

    Raises:
        RecordError: a line is damaged.
    """
    path = folder / PROCESSES_FILE
    if path.exists():
        yield from read_lines(path, UsageSample)
