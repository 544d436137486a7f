"""Figures of a server that is not ours, from the differences and gauges of its own metrics."""

from __future__ import annotations

import math
import statistics

import msgspec

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.evidence import Evidence, case_seconds
from reelbench.reporting.evidence.server_evidence import ServerCount, ServerGauge, ServerPlace
from reelbench.reporting.statistics.trend import Trend, trend

P95 = 0.95
HOUR = 3600.0
Labels = tuple[tuple[str, str], ...]


class Timing(msgspec.Struct, frozen=True):
    """A time as the server measured it, over the observations within a case."""

    mean: float
    """Exact: sum over count."""
    n: int
    p95: float | None
    """Estimated within its bucket; None without buckets."""
    bound: Bound | None
    """The bucket: the true sample quantile lies in it."""


class Energy(msgspec.Struct, frozen=True):
    """Energy of all GPUs through a case, in joules."""

    joules: float
    """Between the two samples around the case, or mean power by the length of the case where there is no counter."""
    span: float
    """Seconds between these samples."""
    length: float
    """Of the case."""
    counted: bool
    """True: from a counter."""
    idle_watts: float | None
    """Power in the idle case; None without one."""
    error: float | None
    """Most joules that the counter can lag behind: power by its longest time without a change."""

    @property
    def above_idle(self) -> float | None:
        """Joules without what the GPUs use when idle; None when that is not known."""
        return None if self.idle_watts is None else self.joules - self.idle_watts * self.span

    @property
    def within(self) -> float:
        """Joules of the case itself: what the GPUs use when idle is counted for its length; else an upper limit."""
        if self.idle_watts is None:
            return self.joules
        return self.joules - self.idle_watts * (self.span - self.length)


class Growth(msgspec.Struct, frozen=True):
    """Resident memory of the server through a case, in bytes."""

    beginning: float
    """Last sample before the case, without load."""
    end: float
    """Last sample of the time without load after it."""
    n: int
    """Samples within the case."""
    jobs: int
    trend: Trend | None
    """By job; None with too few samples."""

    @property
    def share(self) -> float:
        """Growth as a share of the memory at the beginning."""
        return self.end / self.beginning - 1


def counts(evidence: Evidence, role: ServerRole, scenario: str, case: str) -> list[ServerCount]:
    """Return the differences of a role in a case."""
    if evidence.server is None:
        return []
    return [one for one in evidence.server.counts if (one.role, one.scenario, one.case) == (role, scenario, case)]


def gauges(evidence: Evidence, role: ServerRole, scenario: str, case: str) -> list[ServerGauge]:
    """Return the gauges of a role in a case."""
    if evidence.server is None:
        return []
    return [one for one in evidence.server.gauges if (one.role, one.scenario, one.case) == (role, scenario, case)]


def places(evidence: Evidence, scenario: str, case: str) -> list[ServerPlace]:
    """Return how each source answered through a case."""
    if evidence.server is None:
        return []
    return [one for one in evidence.server.places if (one.scenario, one.case) == (scenario, case)]


def has(evidence: Evidence, *roles: ServerRole) -> bool:
    """Return True when the server's metrics have a number of one of these roles in some case."""
    if evidence.server is None:
        return False
    wanted = {str(role) for role in roles}
    return any(one.role in wanted and one.value is not None for one in evidence.server.counts) or any(
        one.role in wanted and one.n for one in evidence.server.gauges
    )


def restarted(evidence: Evidence, scenario: str, case: str) -> bool:
    """Return True when the server was started again in a case, so that its differences say nothing."""
    return any(one.restarted for one in places(evidence, scenario, case))


def timing(evidence: Evidence, role: ServerRole, scenario: str, case: str) -> Timing | None:
    """Return a time of the server in a case, of all sources together; None without observations."""
    return merged(counts(evidence, role, scenario, case))


def by_label(evidence: Evidence, role: ServerRole, scenario: str, case: str) -> dict[Labels, Timing]:
    """Return a time of the server for each value of its labels, such as the stage."""
    groups: dict[Labels, list[ServerCount]] = {}
    for one in counts(evidence, role, scenario, case):
        groups.setdefault(tuple(sorted(one.labels.items())), []).append(one)
    found = {labels: merged(some) for labels, some in groups.items()}
    return {labels: one for labels, one in found.items() if one is not None}


def merged(found: list[ServerCount]) -> Timing | None:
    """Return the mean, and the P95 where there are buckets, of several histograms together."""
    known = [one for one in found if one.value is not None and one.count]
    n = math.fsum(one.count or 0.0 for one in known)
    if not n:
        return None
    buckets: dict[float, float] = {}
    for one in known:
        for bound, count in one.buckets:
            buckets[bound] = buckets.get(bound, 0.0) + count
    mean = math.fsum(one.value or 0.0 for one in known) / n
    estimate, within = _quantile(sorted(buckets.items()), n, P95)
    return Timing(mean, round(n), estimate, within)


def _quantile(buckets: list[tuple[float, float]], n: float, q: float) -> tuple[float | None, Bound | None]:
    """Return a quantile within its bucket, as Prometheus estimates it, and the bucket."""
    if not buckets:
        return None, None
    rank, lower, below = q * n, 0.0, 0.0
    for upper, cumulative in buckets:
        if cumulative >= rank * (1 - 1e-12):
            share = (rank - below) / (cumulative - below) if cumulative > below else 1.0
            return lower + (upper - lower) * min(max(share, 0.0), 1.0), Bound(lower, upper)
        lower, below = upper, cumulative
    return lower, Bound(lower, None)


def by_result(evidence: Evidence, scenario: str, case: str) -> dict[tuple[int, str, str], float]:
    """Return the ended requests of a case by source, result and what is counted; without those of a restart."""
    found: dict[tuple[int, str, str], float] = {}
    for one in counts(evidence, ServerRole.REQUESTS, scenario, case):
        if one.value is not None:
            key = (one.source, one.result, one.of)
            found[key] = found.get(key, 0.0) + one.value
    return found


def total_mean(evidence: Evidence, role: ServerRole, scenario: str, case: str) -> float | None:
    """Return the mean of a gauge through a case, summed over what has its own; None without samples."""
    means = [one.mean for one in gauges(evidence, role, scenario, case) if one.mean is not None]
    return math.fsum(means) if means else None


def average_mean(evidence: Evidence, role: ServerRole, scenario: str, case: str) -> float | None:
    """Return the mean of a gauge through a case, averaged over what has its own; None without samples."""
    means = [one.mean for one in gauges(evidence, role, scenario, case) if one.mean is not None]
    return statistics.fmean(means) if means else None


def gpus(evidence: Evidence) -> int | None:
    """Return the number of GPUs: the user's, or those that the metrics show; None when neither says it."""
    if evidence.stack is not None and evidence.stack.gpus is not None:
        return evidence.stack.gpus
    return len(_gpus_seen(evidence)) or None


def _gpus_seen(evidence: Evidence) -> set[tuple[int, Labels]]:
    roles = {ServerRole.GPU_UTILISATION, ServerRole.GPU_POWER, ServerRole.GPU_ENERGY}
    if evidence.server is None:
        return set()
    found: list[ServerGauge | ServerCount] = [*evidence.server.gauges, *evidence.server.counts]
    return {(one.source, tuple(sorted(one.labels.items()))) for one in found if one.role in roles and one.labels}


def idle_case(evidence: Evidence) -> tuple[str, CaseRecord] | None:
    """Return the first case without load, of any dimension."""
    for scenario in evidence.run.scenarios:
        for case in scenario.cases:
            if case.model == "idle" and case.started is not None and case.ended is not None:
                return scenario.name, case
    return None


def energy(evidence: Evidence, scenario: str, case: CaseRecord) -> Energy | None:
    """Return the energy of all GPUs through a case; None when the metrics do not show it."""
    length = case_seconds(case)
    found = _joules(evidence, scenario, case)
    if not length or found is None:
        return None
    joules, span, counted = found
    rest = idle_case(evidence)
    idle = _joules(evidence, *rest) if rest else None
    steps = [one.step for one in counts(evidence, ServerRole.GPU_ENERGY, scenario, case.name) if one.step is not None]
    return Energy(
        joules=joules,
        span=span,
        length=length,
        counted=counted,
        idle_watts=idle[0] / idle[1] if idle is not None and idle[1] else None,
        error=joules / span * max(steps) if counted and steps else None,
    )


def _joules(evidence: Evidence, scenario: str, case: CaseRecord) -> tuple[float, float, bool] | None:
    """Return the joules of a case, the seconds in which they were used, and whether they are counted."""
    found = counts(evidence, ServerRole.GPU_ENERGY, scenario, case.name)
    if found:
        if any(one.value is None for one in found):
            return None
        return math.fsum(one.value or 0.0 for one in found), max(one.after - one.before for one in found), True
    watts, length = total_mean(evidence, ServerRole.GPU_POWER, scenario, case.name), case_seconds(case)
    return (watts * length, length, False) if watts is not None and length else None


def cpu_seconds(evidence: Evidence, scenario: str, case: str) -> tuple[float, float] | None:
    """Return the CPU time of the server's processes through a case, and the time between the samples."""
    found = [one for one in counts(evidence, ServerRole.CPU_SECONDS, scenario, case) if one.value is not None]
    if not found:
        return None
    return math.fsum(one.value or 0.0 for one in found), max(one.after - one.before for one in found)


def videos(evidence: Evidence, scenario: str, case: str) -> int:
    """Return the completed measured jobs of a case."""
    return sum(1 for job in evidence.case_jobs(scenario, case) if job.outcome is Outcome.COMPLETED)


def gpu_hours(evidence: Evidence, case: CaseRecord) -> float | None:
    """Return the hours of all GPUs through a case; None when their number or the length is not known."""
    number, length = gpus(evidence), case_seconds(case)
    return number * length / HOUR if number is not None and length is not None else None


def memory_growth(evidence: Evidence, scenario: str, case: CaseRecord) -> Growth | None:
    """Return what a case with jobs left in the server's resident memory; None without samples around it."""
    jobs = len(evidence.case_jobs(scenario, case.name))
    length = case_seconds(case)
    found = gauges(evidence, ServerRole.RESIDENT_MEMORY, scenario, case.name)
    if not jobs or not length or not found or case.started is None or case.ended is None:
        return None
    if any(one.before is None or one.after is None for one in found):
        return None
    points = _summed(found, case.started, case.ended)
    each = length / jobs
    return Growth(
        beginning=math.fsum(one.before or 0.0 for one in found),
        end=math.fsum(one.after or 0.0 for one in found),
        n=len(points),
        jobs=jobs,
        trend=trend([(at - case.started) / each for at, _ in points], [value for _, value in points]),
    )


def _summed(found: list[ServerGauge], started: float, ended: float) -> list[tuple[float, float]]:
    """Return the samples of several gauges within a case, summed: each counts with its latest value."""
    latest: dict[int, float] = {}
    points: dict[float, float] = {}
    for at, number, value in sorted(
        (at, number, value) for number, one in enumerate(found) for at, value in zip(one.times, one.values, strict=True)
    ):
        latest[number] = value
        if len(latest) == len(found) and started <= at <= ended:
            points[at] = math.fsum(latest.values())
    return list(points.items())


def new_errors(gauge: ServerGauge) -> list[int]:
    """Return the codes of the XID errors that a GPU had in a case and not before it."""
    known = gauge.before or 0.0
    found = []
    for value in gauge.values:
        if value not in {0.0, known}:
            found.append(int(value))
            known = value
    return found
