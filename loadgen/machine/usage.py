"""CPU time between two samples of a machine, by the run and by the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from reelbench.loadgen.machine.processes import CpuTimes, Process
from reelbench.loadgen.record.conditions import TakerRecord

SHORTEST = 0.5
"""Seconds from which on a sample counts for the peak: CPU time is counted in steps of 10 ms."""
MOST_TAKERS = 5
LEAST_TAKEN = 0.01
"""Share of the CPUs from which on a program is named."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of the whole machine."""

    at: float
    """Monotonic seconds."""
    cpu: CpuTimes
    processes: Mapping[int, Process]
    own: Collection[int]
    """The processes that are part of the run."""


def used(before: Sample, now: Sample) -> dict[int, float]:
    """Return the CPU seconds of each process between two samples.

    What a process used that ended in between is counted by its parent, and found there.
    """
    counted: defaultdict[int, float] = defaultdict(float)
    ended = {pid: one for pid, one in before.processes.items() if pid not in now.processes}
    for one in ended.values():
        parent = one.parent
        while parent in ended:  # it ended too: its own parent counts both
            parent = ended[parent].parent
        counted[parent] += one.own + one.ended_children
    found = {}
    for pid, one in now.processes.items():
        earlier = before.processes.get(pid)
        if earlier is None or earlier.born != one.born:
            found[pid] = one.own + one.ended_children
        else:
            of_children = max(0.0, one.ended_children - earlier.ended_children - counted[pid])
            found[pid] = max(0.0, one.own - earlier.own) + of_children
    return found


@dataclass(slots=True)
class Usage:
    """CPU seconds of an observation, added up from sample to sample."""

    cpu: CpuTimes = field(default_factory=lambda: CpuTimes(0.0, 0.0, 0.0, 0.0))
    run: float = 0.0
    by_name: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Of the other programs."""
    peak: float = 0.0
    """Highest share of others between two samples."""

    def add(self, before: Sample, now: Sample) -> None:
        """Add what happened between two samples."""
        cpu = now.cpu.since(before.cpu)
        run = 0.0
        for pid, seconds in used(before, now).items():
            if pid in now.own:
                run += seconds
            elif seconds:
                self.by_name[now.processes[pid].name] += seconds
        self.cpu = self.cpu.plus(cpu)
        self.run += run
        if now.at - before.at >= SHORTEST and cpu.total:
            self.peak = max(self.peak, (cpu.work - run) / cpu.total)

    def share(self, seconds: float) -> float:
        """Return CPU seconds as a share of the CPU time of all CPUs."""
        return min(1.0, max(0.0, seconds) / self.cpu.total) if self.cpu.total else 0.0

    @property
    def others(self) -> float:
        """Share of the CPUs that other processes took, those included that are not visible."""
        return self.share(self.cpu.work - self.run)

    @property
    def takers(self) -> tuple[TakerRecord, ...]:
        """The other programs that took most."""
        order = sorted(self.by_name.items(), key=lambda one: one[1], reverse=True)
        most = ((name, self.share(seconds)) for name, seconds in order[:MOST_TAKERS])
        return tuple(TakerRecord(name=name, share=round(share, 4)) for name, share in most if share >= LEAST_TAKEN)
