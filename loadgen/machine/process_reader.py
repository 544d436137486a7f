"""Reader of CPU time and memory of processes, 20 times per second, in a thread, outside of any Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from reelbench.loadgen.machine.process_parts import ProcessParts
from reelbench.loadgen.machine.processes import PROC, read_processes
from reelbench.loadgen.record.processes import Part, PartUsage, UsageSample
from reelbench.loadgen.record.run_files import to_line

INTERVAL = 0.05
"""Seconds between two samples."""
FULL_RATE = 12_000
"""Samples of a scenario at this interval; later the interval grows with the scenario, so its file stays bounded: ten
hours have 61,000 samples in place of 720,000."""
LOOK = 1.0
"""Least seconds between two looks for new processes."""
MOST_COST = 0.005
"""Most CPU seconds per second that these looks take."""
HAND_OVER = 1.0
"""Seconds between two writes."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DIGITS = 6


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU seconds of a process and all its threads, to the nanosecond; None when it has ended.

    Linux derives a clock from the number of a process (``clock_getcpuclockid``). ``/proc/<pid>/stat`` counts in 10 ms.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


def resident_bytes(pid: int, proc: Path = PROC) -> int:
    """Return the resident memory of a process; 0 when it has ended."""
    try:
        descriptor = os.open(f"{proc}/{pid}/statm", os.O_RDONLY)
        try:
            return int(os.read(descriptor, 128).split()[1]) * _PAGE
        finally:
            os.close(descriptor)
    except (OSError, IndexError):
        return 0


class ProcessReader:
    """Reads the parts of a run; CPU time never falls, also when a process ends."""

    def __init__(
        self,
        parts: ProcessParts,
        now: Callable[[], float],
        cpu: Callable[[int], float | None] = cpu_seconds,
    ) -> None:
        """Begin without a look at the processes.

        Args:
            parts: which processes belong to which part.
            now: clock of the records.
            cpu: CPU seconds of a process.
        """
        self._parts = parts
        self._now = now
        self._cpu = cpu
        self._serving: Mapping[Part, frozenset[int]] = {}
        self._members: dict[Part, frozenset[int]] = {}
        self._known: dict[Part, dict[int, float]] = {}
        """Last CPU time of each living process."""
        self._ended: dict[Part, float] = {}
        self.look_cost = 0.0
        """CPU seconds of the last look."""

    @property
    def sees_target(self) -> bool:
        """Whether a process that listens on the port of the target is visible."""
        if not self._serving.get(Part.SERVICE):
            self._serving = self._parts.serving()
        return bool(self._serving.get(Part.SERVICE))

    def look(self) -> None:
        """Find the processes of each part anew."""
        begun = time.thread_time()
        processes = read_processes(self._parts.proc)
        if not self._serving.get(Part.SERVICE, frozenset()) & processes.keys():
            self._serving = self._parts.serving()  # the target was started again
        self._members = self._parts.members(self._serving, processes)
        self.look_cost = time.thread_time() - begun

    def take(self) -> UsageSample:
        """Read all parts."""
        at = self._now()
        return UsageSample(
            at=round(at, _DIGITS), parts={part: self._part(part) for part in {**self._known, **self._members}}
        )

    def _part(self, part: Part) -> PartUsage:
        known = self._known.setdefault(part, {})
        memory = 0
        living = {}
        for pid in self._members.get(part, ()):
            used = self._cpu(pid)
            if used is not None:
                living[pid] = used
                memory += resident_bytes(pid, self._parts.proc)
        for pid, used in known.items():
            if living.get(pid, -1.0) < used:  # ended; or its number has gone to another process
                self._ended[part] = self._ended.get(part, 0.0) + used
        self._known[part] = living
        total = self._ended.get(part, 0.0) + sum(living.values())
        return PartUsage(cpu=round(total, _DIGITS), memory=memory, processes=len(living))


class ProcessReading:
    """A context manager that reads while it is entered and hands the lines over each second."""

    def __init__(self, reader: ProcessReader, write: Callable[[bytes], None]) -> None:
        """Begin nothing yet.

        Args:
            reader: what is read.
            write: takes whole lines, in the thread of the event loop.
        """
        self._reader = reader
        self._write = write
        self._lines: list[bytes] = []
        self._over = threading.Event()

    async def __aenter__(self) -> Self:
        # Read before any load, and without an await: the load begins at once.
        self._reader.look()
        self._lines.append(to_line(self._reader.take()))
        self._thread = threading.Thread(target=self._read, name="process reader", daemon=True)
        self._thread.start()
        self._task = asyncio.create_task(self._hand_over())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.to_thread(self._thread.join)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._flush()

    def _read(self) -> None:
        begun = due = looked = time.monotonic()
        while not self._over.is_set():
            if due - looked >= max(LOOK, self._reader.look_cost / MOST_COST):
                self._reader.look()
                looked = due
            self._lines.append(to_line(self._reader.take()))
            now = time.monotonic()
            due = max(due + max(INTERVAL, (now - begun) / FULL_RATE), now)
            self._over.wait(due - now)
        self._lines.append(to_line(self._reader.take()))

    async def _hand_over(self) -> None:
        while True:
            await asyncio.sleep(HAND_OVER)
            self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"".join(lines))
