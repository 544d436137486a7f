"""What became of jobs that did not simply complete: given up, cancelled, refused, throttled, ended by the server."""

from __future__ import annotations

from collections import Counter

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.analysis.job_integrity import REMOVED
from reelbench.reporting.evidence.evidence import Evidence

OPERATION = "cancel"
"""Operation of a planned cancellation in the log of requests."""

_ENDED = frozenset({Outcome.COMPLETED, Outcome.FAILED})


class Fates(msgspec.Struct, frozen=True):
    """Counts of measured jobs in scenarios."""

    jobs: int
    given_up: int
    """Reached the time limit; their end is unknown."""
    cancelled_late: int
    """Those of them that were then cancelled at the server."""
    cancel_failed: int
    """Those of them whose cancellation the server refused or did not answer."""
    cancel_absent: int
    """Those of them that could not be cancelled, as the server offers no cancellation."""
    removed: int
    """Ended by the server with a word such as deleted or expired."""
    throttled: int
    """Requests that the server asked to send later, each sent again."""
    throttled_jobs: int
    """Jobs that had at least one."""


class Cancellations(msgspec.Struct, frozen=True):
    """Cancellations that the plan asked for."""

    jobs: int
    """Jobs of the cases that cancel jobs."""
    asked: tuple[JobRecord, ...]
    stopped: tuple[JobRecord, ...]
    """Cancelled in progress."""
    ended: tuple[JobRecord, ...]
    """Had ended, completed or failed, before the cancellation."""
    refused: tuple[JobRecord, ...]
    """Not cancelled and not known to have ended: the server refused, or gave no answer."""
    unasked: tuple[JobRecord, ...]
    """Their cancellation was never sent: they were refused or ended with an error before it, or nothing offers it."""
    statuses: dict[str, int]
    """Answers that were no success, such as ``HTTP 409``, to their number."""

    @property
    def answered(self) -> tuple[JobRecord, ...]:
        """Jobs whose cancellation was carried out, or came after the end of the job."""
        return (*self.stopped, *self.ended)


def fates(evidence: Evidence, *scenarios: str) -> Fates:
    """Count the fates of the measured jobs of scenarios."""
    jobs = [job for name in scenarios for job in evidence.scenario_jobs(name)]
    ways = Counter(job.given_up for job in jobs)
    return Fates(
        jobs=len(jobs),
        given_up=sum(number for way, number in ways.items() if way is not None),
        cancelled_late=ways["cancelled"],
        cancel_failed=ways["not_cancelled"],
        cancel_absent=ways["not_offered"],
        removed=sum(
            1
            for job in jobs
            if job.reported is not None
            and job.reported.lower() in REMOVED
            and job.given_up is None
            and job.cancel_sent is None
        ),
        throttled=sum(job.throttled for job in jobs),
        throttled_jobs=sum(job.throttled > 0 for job in jobs),
    )


def cancellations(evidence: Evidence, *scenarios: str) -> Cancellations:
    """Sort the measured jobs of scenarios by what came of their cancellation, in the cases that cancel jobs."""
    every = [job for name in scenarios for job in evidence.scenario_jobs(name)]
    cases = {(job.scenario, job.case) for job in every if job.cancel_sent is not None}
    jobs = [job for job in every if (job.scenario, job.case) in cases]
    asked = [job for job in jobs if job.cancel_sent is not None]
    statuses: Counter[str] = Counter()
    for name in scenarios:
        for status, count in evidence.requests.statuses(name, OPERATION).items():
            if status is None or not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own classes
                statuses[f"HTTP {status}" if status is not None else "no answer"] += count
    return Cancellations(
        jobs=len(jobs),
        asked=tuple(asked),
        stopped=tuple(job for job in asked if job.outcome is Outcome.CANCELLED),
        ended=tuple(job for job in asked if job.outcome in _ENDED),
        refused=tuple(job for job in asked if job.outcome is not Outcome.CANCELLED and job.outcome not in _ENDED),
        unasked=tuple(job for job in jobs if job.cancel_sent is None),
        statuses=dict(sorted(statuses.items())),
    )
