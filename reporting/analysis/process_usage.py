"""Memory and CPU of the processes in a case, from their raw samples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from reelbench.loadgen.record.processes import Part
from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.process_samples import ProcessSamples, Source, process_samples, total

SERVICE, MEDIA, PROVIDERS, LOADGEN = "service", "media workers", "providers", "load generator"
PROCESSES = (SERVICE, MEDIA, PROVIDERS, LOADGEN)
UNDER_TEST = (SERVICE, MEDIA)
"""The system under test; mock providers and load generator stand for systems outside of it."""

_MEMORY = {
    SERVICE: ("memory", "service"),
    MEDIA: ("media_memory", "service"),
    PROVIDERS: ("memory", "providers"),
    LOADGEN: ("memory", "loadgen"),
}
_CPU = {
    SERVICE: ("cpu", "service"),
    MEDIA: ("media_cpu", "service"),
    PROVIDERS: ("cpu", "providers"),
    LOADGEN: ("cpu", "loadgen"),
}


_PARTS = {SERVICE: Part.SERVICE, MEDIA: Part.WORKERS, PROVIDERS: Part.PROVIDERS, LOADGEN: Part.LOADGEN}


class Memory(msgspec.Struct, frozen=True):
    """Resident memory through a case, in bytes."""

    n: int
    """Samples within the case."""
    before: float | None
    """Last sample before the start."""
    median: float
    peak: float
    """Highest sample from the start to the first one after the end; shorter peaks are missed."""
    after: float | None
    """Last sample of the idle time after the case."""
    source: Source

    @property
    def growth(self) -> float | None:
        """Peak less the memory before."""
        return None if self.before is None else self.peak - self.before

    @property
    def kept(self) -> float | None:
        """Memory after less the memory before."""
        return None if self.before is None or self.after is None else self.after - self.before


class Cpu(msgspec.Struct, frozen=True):
    """CPU time of a case in seconds."""

    seconds: float
    length: float
    """That of the case by the reader; between two scrapes, at most two intervals longer than the case."""
    start: float
    """Unix time at which the length begins."""
    points: tuple[tuple[float, float], ...]
    """All samples, from the rest before the case to that after it."""
    source: Source = Source.PROMETHEUS


def stands_alone(evidence: Evidence, scenario: str, case: CaseRecord) -> bool:
    """Return True for an idle case, or with idle time around it; else samples around it belong to other cases."""
    found = evidence.scenario(scenario)
    return found is not None and (found.rest > 0 or case.model == "idle")


def memory_samples(evidence: Evidence, scenario: str, case: CaseRecord, *processes: str) -> ProcessSamples | None:
    """Return the summed memory of processes, by the reader or else by Prometheus; None without samples of one."""
    return _read(evidence, "memory", scenario, case, processes) or _scraped(evidence, scenario, case, processes)


def memory(evidence: Evidence, scenario: str, case: CaseRecord, *processes: str) -> Memory | None:
    """Return the summed memory of processes; None without a sample within the case, or without idle time around it."""
    found = memory_samples(evidence, scenario, case, *processes) if stands_alone(evidence, scenario, case) else None
    return None if found is None else figures(found)


def figures(found: ProcessSamples) -> Memory | None:
    """Return the figures of a gauge; None without a sample within the case."""
    within = [value for _, value in found.within]
    if not within:
        return None
    ending = [found.after[1]] if found.after else []
    return Memory(
        n=len(within),
        before=found.before[1] if found.before else None,
        median=statistics.median(within),
        peak=max(within + ending),
        after=found.last[1] if found.last else None,
        source=found.source,
    )


def cpu(evidence: Evidence, scenario: str, case: CaseRecord, *processes: str) -> Cpu | None:
    """Return the summed CPU time of processes, by the reader or else by Prometheus.

    None without samples on both sides of the case, or when a process was restarted between scrapes.
    """
    read = _read(evidence, "cpu", scenario, case, processes)
    if read is None:
        return _scraped_cpu(evidence, scenario, case, processes)
    times, values = zip(*read.points, strict=True)
    first, last = (float(np.interp(at, times, values)) for at in (read.started, read.ended))
    return Cpu(last - first, read.ended - read.started, read.started, read.points, read.source)


def _scraped_cpu(evidence: Evidence, scenario: str, case: CaseRecord, processes: Sequence[str]) -> Cpu | None:
    if not stands_alone(evidence, scenario, case):
        return None
    seconds, length, begun, series = 0.0, 0.0, 0.0, []
    for process in processes:
        reading, job = _CPU[process]
        found = process_samples(evidence, reading, scenario, case, job=job)
        ends = _enclosing(found, case) if found else None
        if found is None or ends is None:
            return None
        (start, first), (end, last) = ends
        between = [value for at, value in found.points if start <= at <= end]
        if end <= start or between != sorted(between):
            return None
        seconds += last - first
        if end - start > length:
            length, begun = end - start, start
        series.append(found.points)
    return Cpu(seconds, length, begun, _added(series))


def _added(series: Sequence[tuple[tuple[float, float], ...]]) -> tuple[tuple[float, float], ...]:
    """Return the sum of series at the times of the first, where all of them have values around it."""
    first, *more = series
    low, high = max(one[0][0] for one in series), min(one[-1][0] for one in series)
    columns = [tuple(zip(*one, strict=True)) for one in more]
    return tuple(
        (at, value + sum(float(np.interp(at, times, values)) for times, values in columns))
        for at, value in first
        if low <= at <= high
    )


def _enclosing(found: ProcessSamples, case: CaseRecord) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the samples that enclose a case; for an idle case, the first and last within it."""
    if case.model == "idle":
        return (found.within[0], found.within[-1]) if found.within else None
    return (found.before, found.after) if found.before and found.after else None


def gauge(evidence: Evidence, reading: str, scenario: str, case: CaseRecord, job: str) -> Memory | None:
    """Return the figures of another gauge of a process, in its own unit."""
    found = process_samples(evidence, reading, scenario, case, job=job)
    return None if found is None else figures(found)


def _read(
    evidence: Evidence, kind: Literal["cpu", "memory"], scenario: str, case: CaseRecord, processes: Sequence[str]
) -> ProcessSamples | None:
    """Return what the reader saw in a case that ended, with the rests around it."""
    found = evidence.scenario(scenario)
    if found is None or case.started is None or case.ended is None or not evidence.usage.times:
        return None
    parts = [_PARTS[process] for process in processes]
    points = evidence.usage.of_case(kind, case.started, case.ended, found.rest, *parts)
    return ProcessSamples(case.started, case.ended, points, Source.READER) if points else None


def _scraped(evidence: Evidence, scenario: str, case: CaseRecord, processes: Sequence[str]) -> ProcessSamples | None:
    wanted = {_MEMORY[process] for process in processes}
    found = [
        series
        for series in evidence.series
        if (series.scenario, series.case) == (scenario, case.name)
        and (series.reading, series.labels.get("job")) in wanted
    ]
    if {(series.reading, series.labels.get("job")) for series in found} != wanted:
        return None
    assert case.started is not None
    assert case.ended is not None
    return ProcessSamples(case.started, case.ended, total(found))
