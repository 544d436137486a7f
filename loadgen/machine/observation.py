"""Observation of the machine while a case runs: a sample each second, in a thread, at a bounded cost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from reelbench.loadgen.machine.parts import Parts
from reelbench.loadgen.machine.pressure import group_pressure, machine_pressure, quotas
from reelbench.loadgen.machine.processes import PROC, read_cpu_times, read_processes
from reelbench.loadgen.machine.usage import Sample, Usage
from reelbench.loadgen.record.conditions import MachineRecord
from reelbench.loadgen.record.environment import CGROUPS, PROCESS

INTERVAL = 1.0
"""Seconds between two samples."""
MOST_COST = 0.005
"""Most CPU seconds per second that samples take: with very many processes, they come less often."""
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Machine:
    """The files of this machine, and the processes that are part of the run."""

    parts: Parts
    proc: Path = PROC
    cgroups: Path = CGROUPS
    process: Path = PROCESS

    def observe(self) -> Observation:
        """Return an observation that begins when it is entered."""
        return Observation(Readings(self))


class Readings:
    """Readings of the machine from a begin to an end."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._usage = Usage()
        self._cpus: frozenset[int] = frozenset()
        self._last: Sample | None = None
        self.cost = 0.0
        """CPU seconds that the readings took."""
        self.latest_cost = 0.0

    def begin(self) -> None:
        """Read the machine for the first time."""
        machine = self._machine
        self._begun = time.monotonic()
        self._waited, self._group = machine_pressure(machine.proc), group_pressure(machine.cgroups, machine.process)
        self._quotas = quotas(machine.cgroups, machine.process)
        self._frequency = _frequency()
        self.take()

    def take(self) -> None:
        """Read the CPU time of the machine and of its processes."""
        begun = time.thread_time()
        processes = read_processes(self._machine.proc)
        own = self._machine.parts.find(processes)
        self._cpus = self._cpus or _cpus(own)
        cpu = read_cpu_times(self._cpus, self._machine.proc)
        if cpu is not None:
            sample = Sample(time.monotonic(), cpu, processes, own)
            if self._last is not None:
                self._usage.add(self._last, sample)
            self._last = sample
        self.latest_cost = time.thread_time() - begun
        self.cost += self.latest_cost

    def end(self, scenario: str, case: str) -> MachineRecord:
        """Read the machine for the last time; return what happened."""
        self.take()
        machine, usage = self._machine, self._usage
        seconds = time.monotonic() - self._begun
        waited = machine_pressure(machine.proc).since(self._waited, seconds)
        group = group_pressure(machine.cgroups, machine.process).since(self._group, seconds)
        unknown = machine.parts.hidden if self._last else "this system has no /proc/stat"
        known = unknown is None
        return MachineRecord(
            scenario=scenario,
            case=case,
            seconds=round(seconds, 3),
            cpus=len(self._cpus),
            run=round(usage.share(usage.run), _DIGITS) if known else None,
            others=round(usage.others, _DIGITS) if known else None,
            others_peak=round(usage.peak, _DIGITS) if known else None,
            steal=round(usage.share(usage.cpu.steal), _DIGITS) if self._last else None,
            idle=round(usage.share(usage.cpu.idle), _DIGITS) if self._last else None,
            takers=usage.takers if known else (),
            unknown=unknown,
            pressure=waited,
            group_pressure=group,
            throttling=quotas(machine.cgroups, machine.process).since(self._quotas),
            frequency=tuple(found for found in (self._frequency, _frequency()) if found is not None),
            cost=round(self.cost, _DIGITS),
        )


class Observation:
    """A context manager that takes readings while it is entered; ask for the record after the exit."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        # Nothing is awaited here: the load begins at once.
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._task

    async def _read(self) -> None:
        await asyncio.to_thread(self._readings.begin)
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), max(INTERVAL, self._readings.latest_cost / MOST_COST))
            if not self._over.is_set():
                await asyncio.to_thread(self._readings.take)

    async def record(self, scenario: str, case: str) -> MachineRecord:
        """Return what happened in a case."""
        return await asyncio.to_thread(self._readings.end, scenario, case)


def _cpus(processes: Iterable[int]) -> frozenset[int]:
    """Return the CPUs on which at least one of some processes may run."""
    found: set[int] = set()
    for pid in processes:
        with contextlib.suppress(OSError, AttributeError):  # ended, another user's, or no such call on this system
            found |= os.sched_getaffinity(pid)
    return frozenset(found or range(os.cpu_count() or 1))


def _frequency() -> float | None:
    """Return the mean frequency of the CPUs in MHz; None where the system does not say."""
    try:
        found = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):
        return None
    return round(found.current, 1) if found is not None and found.current else None
