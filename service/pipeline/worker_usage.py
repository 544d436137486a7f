"""CPU time and memory of the worker processes."""

from __future__ import annotations

from collections.abc import Callable

import psutil


class WorkerUsage:
    """Totals over the processes `pids`; read from the thread of the exporter, without await."""

    def __init__(self, pids: Callable[[], tuple[int, ...]]) -> None:
        self._pids = pids
        self._cpu: dict[int, float] = {}
        self._ended = 0.0

    def cpu_time(self) -> float:
        """Return the CPU seconds, of ended processes up to the last reading: the total never decreases."""
        found = {pid: seconds for pid in self._pids() if (seconds := _cpu(pid)) is not None}
        for pid, seconds in self._cpu.items():
            # Less than before under the same id: another process uses the id now.
            if found.get(pid, 0.0) < seconds:
                self._ended += seconds
        self._cpu = found
        return self._ended + sum(found.values())

    def memory(self) -> int:
        """Return the bytes in RAM of living processes; shared pages count for each process."""
        return sum(_memory(pid) for pid in self._pids())


def _cpu(pid: int) -> float | None:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system


def _memory(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
