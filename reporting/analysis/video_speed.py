"""How fast videos are made: frames and seconds of video per second, real-time factor, and the times of their jobs."""

from __future__ import annotations

import math

import msgspec

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.evidence.evidence import STOPPED, Evidence
from reelbench.reporting.statistics.intervals import (
    Interval,
    Proportion,
    Summary,
    exact_proportion,
    mean_difference,
    summarize,
)

CACHED = 0.1
"""Share by which repeated requests may be faster than distinct ones, as in MLPerf's TEST04."""


class CaseSpeed(msgspec.Struct, frozen=True):
    """One case with opened files that decode."""

    scenario: str
    case: str
    videos: int
    """Completed jobs, without those whose file is known to be broken."""
    opened: int
    """Those of them whose file was opened: figures of content are their means."""
    frames: float | None
    """Frames per second of the steady part, or of the case; None for a case that did not end."""
    seconds: float | None
    """Seconds of video per second of the same part."""
    factors: Summary
    """Real-time factors: from sending until first reported done, over the length of the content."""
    own: Summary | None
    """The same by the server's own time of work; None when its answers do not say it."""
    byte_rate: float
    """Bytes per second of video."""


class CaseTimes(msgspec.Struct, frozen=True):
    """When jobs of one case were first reported done, and when their file was fully read."""

    scenario: str
    case: str
    reported: Summary
    """From sending until an answer first reported the end."""
    read: Summary
    """From sending until the last byte of the file."""
    poll_gap: float | None
    """Longest time between the poll that reported the end and the one before: the bound of the error of `reported`."""


class Attainment(msgspec.Struct, frozen=True):
    """Jobs of one case within the objective of the response time."""

    scenario: str
    case: str
    limit: float
    share: Proportion
    goodput: float | None
    """Such jobs per second."""


class Repetition(msgspec.Struct, frozen=True):
    """A case with repeated prompts next to the case with the same prompts when they were new. Seconds."""

    scenario: str
    new: str
    repeated: str
    distinct: Summary
    again: Summary
    difference: Interval
    """Repeated less distinct, of the averages."""

    @property
    def faster(self) -> float:
        """Share by which repeated requests are faster."""
        return 1 - self.again.average / self.distinct.average


def speeds(evidence: Evidence, dimension: str) -> tuple[CaseSpeed, ...]:
    """Return the cases of a dimension with at least one opened file that decodes."""
    found = (_speed(evidence, scenario, case) for scenario, case in evidence.cases(dimension))
    return tuple(one for one in found if one is not None)


def _speed(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> CaseSpeed | None:
    jobs = [job for job in evidence.case_jobs(scenario.name, case.name) if evidence.succeeded(job)]
    opened = [
        (job, video.seconds, video.frames or 0, video.bytes)
        for job in jobs
        if (video := evidence.video(job)) is not None and video.seconds
    ]
    factors = summarize([_generation(job) / seconds for job, seconds, _, _ in opened])
    if factors is None:
        return None
    length = math.fsum(seconds for _, seconds, _, _ in opened)
    part = evidence.stretch(scenario.name, case.name)
    made = sum(1 for job in part.jobs if evidence.succeeded(job))
    rate = made / part.seconds if part.seconds else None
    inference = [job.server.inference / seconds for job, seconds, _, _ in opened if job.server and job.server.inference]
    return CaseSpeed(
        scenario=scenario.name,
        case=case.name,
        videos=len(jobs),
        opened=len(opened),
        frames=None if rate is None else rate * sum(frames for _, _, frames, _ in opened) / len(opened),
        seconds=None if rate is None else rate * length / len(opened),
        factors=factors,
        own=summarize(inference),
        byte_rate=sum(size for _, _, _, size in opened) / length,
    )


def _generation(job: JobRecord) -> float:
    return (job.done if job.ended is None else job.ended) - job.sent


def times(evidence: Evidence, dimension: str) -> tuple[CaseTimes, ...]:
    """Return the cases of a dimension in which answers reported the end of jobs before their file was read."""
    found = []
    for scenario, case in evidence.cases(dimension):
        jobs = [job for job in evidence.case_jobs(scenario.name, case.name) if evidence.succeeded(job) and job.bytes]
        reported = summarize([job.ended - job.sent for job in jobs if job.ended is not None])
        read = summarize([job.done - job.sent for job in jobs if job.ended is not None])
        if reported and read:
            gap = max((job.poll_gap for job in jobs if job.poll_gap is not None), default=None)
            found.append(CaseTimes(scenario.name, case.name, reported, read, gap))
    return tuple(found)


def attainments(evidence: Evidence, dimension: str) -> tuple[Attainment, ...]:
    """Return the share of jobs within the objective of P95, where the scenario or the run has one; failed ones miss."""
    sli = evidence.catalogue.of_role(Role.RESPONSE_TIME_P95)
    common = evidence.objective(Role.RESPONSE_TIME_P95)
    found = []
    for scenario, case in evidence.cases(dimension):
        limit = scenario.objectives.get(sli.id) if sli else None
        if limit is None and common and (not common.scenarios or scenario.name in common.scenarios):
            limit = common.value
        part = evidence.stretch(scenario.name, case.name)
        jobs = [job for job in part.jobs if job.outcome not in STOPPED]
        if limit is None:
            continue
        good = sum(1 for job in jobs if evidence.succeeded(job) and job.done - job.due <= limit)
        if share := exact_proportion(good, len(jobs)):
            rate = good / part.seconds if part.seconds else None
            found.append(Attainment(scenario.name, case.name, limit, share, rate))
    return tuple(found)


def repetitions(evidence: Evidence, dimension: str) -> tuple[Repetition, ...]:
    """Return the cases that repeat the prompts of the case before them."""
    found = []
    for scenario in evidence.scenarios(dimension):
        for before, case in zip(scenario.cases, scenario.cases[1:], strict=False):
            if case.prompts != "repeated" or before.prompts != "unique":
                continue
            new, known = (evidence.whole_times(scenario.name, one.name) for one in (before, case))
            distinct, again = summarize(new), summarize(known)
            if distinct and again:
                limits = mean_difference(known, new)
                found.append(Repetition(scenario.name, before.name, case.name, distinct, again, limits))
    return tuple(found)
