"""Gauges of a run that its Prometheus has: jobs in flight, jobs at the service, CPU and memory of the processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

import msgspec

from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.evidence.prometheus import Matrix, QueryError, connect

MEGA: Final = 1e6
LONGEST: Final = 600.0
"""Seconds of samples that the first look asks for."""


class Reading(msgspec.Struct, frozen=True):
    """One value of a line of a panel."""

    panel: str
    line: str
    at: float
    value: float


QUERIES: Final[tuple[tuple[str, str, str, str, float], ...]] = (
    ("in_flight", "loadgen_jobs_in_flight", "", "in flight, by the load generator", 1.0),
    ("queue", "video_jobs_active", "state", "", 1.0),
    ("cpu", "process_cpu_time_seconds_total", "job", "", 1.0),
    ("memory", "process_memory_usage_bytes", "job", "", 1 / MEGA),
)
"""Panel, metric, label that names the line, name of a single line, factor."""


class Gauges:
    """Reads what is new in the Prometheus of a run; a Prometheus that does not answer is asked again later."""

    def __init__(self, stack: Callable[[], StackRecord | None]) -> None:
        """Prepare the reader.

        Args:
            stack: returns the record of the stack; None until it has one.
        """
        self._stack = stack
        self._since: float | None = None

    def read(self, now: float) -> list[Reading]:
        """Return the samples since the last look."""
        record = self._stack()
        if record is None or record.prometheus is None or record.prometheus.url is None:
            return []
        window = math.ceil(min(LONGEST, now - self._since + 1)) if self._since is not None else LONGEST
        found: list[Reading] = []
        try:
            with closing(connect(record.prometheus.url)) as prometheus:
                for panel, metric, label, name, factor in QUERIES:
                    matrix = prometheus.matrix(f"{metric}[{window:.0f}s]", now)
                    found += _readings(panel, matrix, label, name, factor)
        except QueryError:
            return []
        self._since = now
        return found


def _readings(panel: str, matrix: Matrix, label: str, name: str, factor: float) -> Iterator[Reading]:
    """Yield the samples of each line; series of one line are added up, as those of several processes or states."""
    lines: dict[str, dict[float, float]] = {}
    for series in matrix:
        line = lines.setdefault(name or series.metric.get(label, "other"), {})
        for at, value in series.values:
            second = float(math.floor(at))
            line[second] = line.get(second, 0.0) + float(value) * factor
    for line_name, values in lines.items():
        for at in sorted(values):
            yield Reading(panel, line_name, at, values[at])
