"""Traces that a report needs: of a seeded sample of each level, of the slowest jobs and of failed jobs."""

from __future__ import annotations

import random
from collections.abc import Iterable
from statistics import median

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, once

SLOWEST = 3
"""Completed jobs of a dimension that are shown one by one, each of a case of its own."""
FAILED = 5
SHOWN = ("performance", "reliability")
"""Dimensions whose reports show single jobs."""


def wanted(evidence: Evidence, per_case: int) -> frozenset[str]:
    """Return the ids of the traces that the reports need; at most `per_case` per case for the critical path."""
    jobs: list[JobRecord] = []
    for scenario, case in evidence.cases("performance"):
        jobs += level_sample(evidence, scenario.name, case.name, per_case)
    for dimension in SHOWN:
        jobs += slowest(evidence, dimension)
        jobs += failed(evidence, dimension)[:FAILED]
    return frozenset(job.trace_id for job in jobs)


def level_sample(evidence: Evidence, scenario: str, case: str, most: int) -> list[JobRecord]:
    """Return the completed jobs of which a case has response times, or a sample of them drawn by the run's seed."""
    jobs = evidence.stretch(scenario, case).completed
    if len(jobs) <= most:
        return jobs
    chosen = random.Random(f"{evidence.run.seed}/{scenario}/{case}").sample(range(len(jobs)), most)
    return [jobs[index] for index in sorted(chosen)]


@once
def slowest(evidence: Evidence, dimension: str) -> tuple[JobRecord, ...]:
    """Return the slowest completed measured job of each of a few cases, compared with the median of its own case.

    The slowest jobs of all cases would nearly always be those of the heaviest load.
    """
    found: list[tuple[float, int, JobRecord]] = []
    for scenario, case in evidence.cases(dimension):
        jobs = evidence.case_jobs(scenario.name, case.name)
        completed = [job for job in jobs if job.outcome is Outcome.COMPLETED]
        if completed:
            job = min(completed, key=lambda job: job.due - job.done)
            usual = median(job.done - job.due for job in completed)
            found.append((-(job.done - job.due) / usual if usual > 0 else 0.0, len(found), job))
    return tuple(job for *_, job in sorted(found)[:SLOWEST])


@once
def failed(evidence: Evidence, dimension: str) -> tuple[JobRecord, ...]:
    """Return all measured jobs that failed: one of each kind (scenario, outcome, error) first, then the rest."""
    first: dict[tuple[str, str, str | None], JobRecord] = {}
    rest = []
    for job in _jobs(evidence, dimension):
        if job.outcome is Outcome.COMPLETED or job.outcome in STOPPED:
            continue
        kind = job.scenario, job.outcome.value, job.error
        if kind in first:
            rest.append(job)
        else:
            first[kind] = job
    return *first.values(), *rest


def _jobs(evidence: Evidence, dimension: str) -> Iterable[JobRecord]:
    for scenario, case in evidence.cases(dimension):
        yield from evidence.case_jobs(scenario.name, case.name)
