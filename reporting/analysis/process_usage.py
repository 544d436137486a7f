"""Memory and CPU of the processes in a case, from their raw samples."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.evidence.evidence import Evidence, case_seconds
from reelbench.reporting.evidence.process_samples import ProcessSamples, process_samples, total

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


@dataclass(frozen=True, slots=True)
class Memory:
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

    @property
    def growth(self) -> float | None:
        """Peak less the memory before."""
        return None if self.before is None else self.peak - self.before

    @property
    def kept(self) -> float | None:
        """Memory after less the memory before."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time between the two samples that enclose a case, in seconds."""

    seconds: float
    length: float
    """Between the two samples; at most two scrape intervals longer than the case."""


def stands_alone(evidence: Evidence, scenario: str, case: CaseRecord) -> bool:
    """Return True for an idle case, or with idle time around it; else samples around it belong to other cases."""
    found = evidence.scenario(scenario)
    return found is not None and (found.rest > 0 or case.model == "idle")


def memory_samples(evidence: Evidence, scenario: str, case: CaseRecord, *processes: str) -> ProcessSamples | None:
    """Return the summed memory of processes; None when one of them has no samples."""
    return _together(evidence, _MEMORY, scenario, case, processes)


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
    )


def cpu(evidence: Evidence, scenario: str, case: CaseRecord, *processes: str) -> Cpu | None:
    """Return the summed CPU time of processes; None without enclosing samples, or when a process was restarted."""
    if not stands_alone(evidence, scenario, case):
        return None
    seconds, length = 0.0, 0.0
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
        length = max(length, end - start)
    return Cpu(seconds, length)


def _enclosing(found: ProcessSamples, case: CaseRecord) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the samples that enclose a case; for an idle case, the first and last within it."""
    if case.model == "idle":
        return (found.within[0], found.within[-1]) if found.within else None
    return (found.before, found.after) if found.before and found.after else None


def idle_cores(evidence: Evidence) -> float | None:
    """Return the cores that service and media workers use when idle, with telemetry; None without an idle case."""
    for scenario in evidence.scenarios("resources"):
        for case in scenario.cases:
            if case.model == "idle" and case.started is not None:
                found = cpu(evidence, scenario.name, case, *UNDER_TEST)
                return found.seconds / found.length if found else None
    return None


def utilisation(evidence: Evidence, scenario: str, case: CaseRecord) -> float | None:
    """Return the CPU share of service and media workers, of all cores over the length of the case.

    The enclosing samples may include one scrape interval of idle time on either side; the idle usage of that time is
    subtracted. Without an idle case, the result is an upper limit.
    """
    found, length = cpu(evidence, scenario, case, *UNDER_TEST), case_seconds(case)
    if found is None or not length:
        return None
    inside = found.length if case.model == "idle" else length
    around = (idle_cores(evidence) or 0.0) * (found.length - inside)
    return max(found.seconds - around, 0.0) / inside / evidence.run.environment.cpu_count


def job_seconds(evidence: Evidence, scenario: str, case: CaseRecord) -> float | None:
    """Return the CPU time of service and media workers per job, without idle usage where that was measured."""
    found, jobs = cpu(evidence, scenario, case, *UNDER_TEST), len(evidence.case_jobs(scenario, case.name))
    if found is None or not jobs:
        return None
    return max(found.seconds - (idle_cores(evidence) or 0.0) * found.length, 0.0) / jobs


def gauge(evidence: Evidence, reading: str, scenario: str, case: CaseRecord, job: str) -> Memory | None:
    """Return the figures of another gauge of a process, in its own unit."""
    found = process_samples(evidence, reading, scenario, case, job=job)
    return None if found is None else figures(found)


def _together(
    evidence: Evidence, names: dict[str, tuple[str, str]], scenario: str, case: CaseRecord, processes: tuple[str, ...]
) -> ProcessSamples | None:
    wanted = {names[process] for process in processes}
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
