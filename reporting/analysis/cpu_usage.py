"""CPU of the service in a case: per job and as a share of the machine, each from blocks and with an interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.process_usage import UNDER_TEST, Cpu, cpu
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, once
from reelbench.reporting.evidence.process_samples import Source
from reelbench.reporting.statistics import block_estimate
from reelbench.reporting.statistics.block_estimate import Estimated
from reelbench.reporting.statistics.intervals import Interval

BLOCKS = 10
"""Most blocks of a case."""
SHORTEST = 0.25
"""Seconds of the shortest block: five readings."""

Point = tuple[float, float]


class Idle(msgspec.Struct, frozen=True):
    """Cores that service and media workers use when no job is sent."""

    cores: Estimated
    around: bool
    """True: in the rests directly before and after the case. False: in the idle case of the run."""


class JobCpu(msgspec.Struct, frozen=True):
    """CPU seconds per job above idle."""

    value: float
    interval: Interval
    jobs: int
    blocks: int
    idle: Idle | None
    """None: idle use is not known, and is in the value."""
    source: Source


class Utilisation(msgspec.Struct, frozen=True):
    """CPU of service and media workers as a share of all cores, over the length of a case."""

    share: Estimated
    length: float


def idle(evidence: Evidence, scenario: str, case: CaseRecord) -> Idle | None:
    """Return the idle use around a case, else that of the idle case; None when neither was measured."""
    found, planned = cpu(evidence, scenario, case, *UNDER_TEST), evidence.scenario(scenario)
    if found is not None and planned is not None and planned.rest and case.model != "idle":
        assert case.started is not None
        assert case.ended is not None
        rests = ((case.started - planned.rest, case.started), (case.ended, case.ended + planned.rest))
        sides = [rates for rest in rests if (rates := _rates(found, *rest))]
        if sides:
            return Idle(_idle_cores(sides), around=True)
    alone = idle_cores(evidence)
    return Idle(alone, around=False) if alone else None


@once
def idle_cores(evidence: Evidence) -> Estimated | None:
    """Return the cores that service and media workers use in the idle case, with telemetry; None without one."""
    for scenario in evidence.scenarios("resources"):
        for case in scenario.cases:
            if case.model == "idle" and case.started is not None and case.ended is not None:
                found = cpu(evidence, scenario.name, case, *UNDER_TEST)
                rates = _rates(found, case.started, case.ended) if found else []
                return block_estimate.mean(rates) if rates else None
    return None


def job_cpu(evidence: Evidence, scenario: str, case: CaseRecord) -> JobCpu | None:
    """Return the CPU time of service and media workers per job, without idle usage where that was measured."""
    found, jobs = cpu(evidence, scenario, case, *UNDER_TEST), evidence.case_jobs(scenario, case.name)
    if found is None or not jobs:
        return None
    calm = idle(evidence, scenario, case)
    rate = calm.cores.value if calm else 0.0
    value = max(found.seconds - rate * found.length, 0.0) / len(jobs)
    edges = _edges(found, case, jobs)
    times, used = np.array([at for at, _ in edges]), np.array([spent for _, spent in edges])
    above = np.diff(used) - rate * np.diff(times)
    each = block_estimate.ratio(above.tolist(), _jobs_by_block(jobs, times.tolist()))
    terms = [(1.0, each)] if each else []
    if calm:
        terms.append((found.length / len(jobs), calm.cores))
    limits = block_estimate.interval(value, terms) if each else Interval(None, None)
    return JobCpu(value, limits, len(jobs), len(edges) - 1, calm, found.source)


def job_seconds(evidence: Evidence, scenario: str, case: CaseRecord) -> float | None:
    """Return the CPU time of service and media workers per job, without idle usage where that was measured."""
    found = job_cpu(evidence, scenario, case)
    return found.value if found else None


def utilisation(evidence: Evidence, scenario: str, case: CaseRecord) -> Utilisation | None:
    """Return the CPU share of service and media workers, of all cores over the length of the case.

    Enclosing scrapes may include one interval of idle time on either side; the idle usage of that time is subtracted.
    Where it is not known, the result is an upper limit.
    """
    found, length = cpu(evidence, scenario, case, *UNDER_TEST), case_seconds(case)
    if found is None or not length:
        return None
    cores = evidence.run.environment.cpu_count
    inside = found.length if case.model == "idle" else length
    calm = idle(evidence, scenario, case)
    around = (calm.cores.value if calm else 0.0) * (found.length - inside)
    edges = _edges(found, case, evidence.case_jobs(scenario, case.name))
    rates = [(spent - before) / (at - since) / cores for (since, before), (at, spent) in _pairs(edges)]
    spread = block_estimate.mean(rates)
    value = max(found.seconds - around, 0.0) / inside / cores
    return Utilisation(Estimated(value, spread.n, spread.variance), inside)


def whole_utilisation(levels: Sequence[Utilisation]) -> tuple[Estimated, Interval]:
    """Return the utilisation of several cases, each by its length, with the number of all blocks."""
    whole = math.fsum(level.length for level in levels)
    terms = [(level.length / whole, level.share) for level in levels]
    value = math.fsum(weight * one.value for weight, one in terms)
    known = [(weight, one) for weight, one in terms if one.variance is not None]
    limits = block_estimate.interval(value, known if len(known) == len(terms) else [])
    return Estimated(value, sum(one.n for _, one in terms), None), limits


def _idle_cores(sides: Sequence[Sequence[float]]) -> Estimated:
    """Return the mean of the blocks of both rests; their difference is part of the uncertainty."""
    found = block_estimate.mean([rate for side in sides for rate in side])
    if len(sides) == 1 or found.variance is None:
        return found
    apart = statistics.fmean(sides[0]) - statistics.fmean(sides[1])
    return Estimated(found.value, found.n, max(found.variance, apart**2 / 4))


def _rates(found: Cpu, start: float, end: float) -> list[float]:
    """Return the cores in use in each block between two times; empty without two samples there."""
    points = [point for point in found.points if start <= point[0] <= end]
    if len(points) < 2:  # noqa: PLR2004 - one sample has no rate
        return []
    edges = points
    if found.source is Source.READER:
        count = int((points[-1][0] - points[0][0]) / SHORTEST)
        edges = [_at(found.points, at) for at in np.linspace(points[0][0], points[-1][0], count + 1).tolist()]
    return [(used - before) / (at - since) for (since, before), (at, used) in _pairs(edges) if at > since]


def _edges(found: Cpu, case: CaseRecord, jobs: Sequence[JobRecord]) -> list[Point]:
    """Return the borders of the blocks of a case: between jobs for one at a time, else equally far apart."""
    start, end = found.start, found.start + found.length
    if found.source is not Source.READER:
        inside = [point for point in found.points if start <= point[0] <= end]
        chosen = np.unique(np.linspace(0, len(inside) - 1, min(BLOCKS, len(inside) - 1) + 1).round().astype(int))
        return [inside[number] for number in chosen.tolist()]
    if case.concurrency == 1 and jobs:
        dues = sorted(job.due for job in jobs)
        firsts = np.linspace(0, len(dues), min(BLOCKS, len(dues)) + 1).round().astype(int).tolist()[1:-1]
        times = [start, *(dues[first] for first in firsts), end]
    else:
        longest = max(SHORTEST, statistics.median(job.done - job.due for job in jobs) if jobs else 0.0)
        times = np.linspace(start, end, max(1, min(BLOCKS, round(found.length / longest))) + 1).tolist()
    return [_at(found.points, at) for at in times]


def _jobs_by_block(jobs: Sequence[JobRecord], times: Sequence[float]) -> list[float]:
    """Return the jobs of each block; a job counts in each block by the share of its time there."""
    due, done = np.array([job.due for job in jobs]), np.array([max(job.done, job.due + 1e-9) for job in jobs])
    return [
        float(np.sum(np.clip(np.minimum(done, end) - np.maximum(due, start), 0.0, None) / (done - due)))
        for (start, _), (end, _) in _pairs([(at, 0.0) for at in times])
    ]


def _at(points: Sequence[Point], at: float) -> Point:
    """Return the value at a time, on the line between two samples."""
    times, values = zip(*points, strict=True)
    return at, float(np.interp(at, times, values))


def _pairs(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(pairwise(points))
