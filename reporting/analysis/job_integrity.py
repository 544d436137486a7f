"""Integrity of jobs and files: lost, duplicated, corrupt, broken or not ended; and of which jobs it is unknown."""

from __future__ import annotations

from collections import Counter

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import ScenarioRecord
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence

UNENDED = ("queued", "in_progress")
"""Statuses of a job that has not ended, in the list of videos."""
REMOVED = frozenset({"deleted", "deleting", "expired", "cancelled", "canceled", "cancelling", "canceling"})
"""Words of a server for a job that it stopped or removed: its list need not show the job any more."""
NO_LIST = "the server has no complete list of jobs"


class Losses(msgspec.Struct, frozen=True):
    """Violations (of one terminal state per accepted job, and of files as they must be), with warm-up."""

    lost: int | None
    """Accepted, and not in the server's list afterwards or there without an end; None when no list was read."""
    expected: int
    """Jobs that the lists that were read must contain."""
    unknown: int
    """Accepted jobs of which it is not known whether the server kept them: without a list, or removed by the server or
    given up by the client before the list was read."""
    witnessed: int
    """Those of them, in scenarios without a list that was read, whose end the client saw."""
    unread: tuple[str, ...]
    """Scenarios whose list was not read, with the reason."""
    unlisted: tuple[str, ...]
    """Scenarios without a complete list, with the reason."""
    duplicated: int
    """Ids that belong to more than one job of the log."""
    ids: int
    corrupt: int
    """Completed jobs with a file or field that does not match the manifest, or with a file missing."""
    compared: int
    """Jobs compared with a manifest."""
    broken: int
    """Jobs that the server reported as completed, and whose file does not decode to its end or is none."""
    decoded: int
    """Such jobs whose file was opened."""
    damaged: int
    """Jobs that are corrupt or broken."""
    checked: int
    """Jobs compared with a manifest or opened."""
    unended: int
    """Not ended within the scenario's time limit."""
    accepted: int
    files: int
    """Files downloaded and compared with a manifest."""


def losses(evidence: Evidence, *scenarios: str) -> Losses:
    """Count the violations in scenarios that began."""
    found = [s for name in scenarios if (s := evidence.scenario(name)) is not None]
    jobs = [job for job in evidence.jobs if job.scenario in scenarios]
    accepted = [job for job in jobs if job.accepted is not None]
    compared = [job for job in jobs if job.integrity is not None]
    opened = [(job, video) for job in jobs if (video := evidence.video(job)) is not None]
    broken = {id(job) for job, video in opened if not video.playable}
    ids = Counter(job.job_id for job in jobs if job.job_id is not None)
    read = [s for s in found if s.store is not None and s.store.error is None and s.store.offered]
    unlisted = [s for s in found if s.store is not None and not s.store.offered]
    counts = {s.name: _lost(s, accepted) for s in read}
    # A list that shows a part of the jobs leaves open the others alone.
    partial = {s.name: s.store.expected - s.store.found for s in unlisted if s.store and s.store.found}
    unlooked = {s.name for s in found} - set(counts) - set(partial)
    return Losses(
        lost=sum(lost for lost, _ in counts.values()) if read else None,
        expected=sum(s.store.expected for s in read if s.store),
        unknown=sum(unknown for _, unknown in counts.values())
        + sum(partial.values())
        + sum(1 for job in accepted if not job.deleted and job.scenario in unlooked),
        witnessed=sum(1 for job in accepted if not job.deleted and job.scenario in unlooked and _seen_to_end(job)),
        unread=tuple(f"{s.name} ({_why(s)})" for s in found if s not in read and s not in unlisted),
        unlisted=tuple(f"{s.name} ({_why(s, NO_LIST)})" for s in unlisted),
        duplicated=sum(1 for number in ids.values() if number > 1),
        ids=len(ids),
        corrupt=sum(1 for job in compared if job.integrity != "ok"),
        compared=len(compared),
        broken=len(broken),
        decoded=len(opened),
        damaged=sum(1 for job in jobs if id(job) in broken or job.integrity not in {None, "ok"}),
        checked=len(compared) + sum(1 for job, _ in opened if job.integrity is None),
        unended=sum(1 for job in accepted if job.outcome is Outcome.TIMEOUT),
        accepted=len(accepted),
        files=sum(job.files or 0 for job in compared),
    )


def excused(evidence: Evidence, scenario: str) -> int:
    """Return the accepted jobs that the server's list need not show: removed by the server, or cancelled by the client.

    A job that the client deleted is not one of them, as the list must not show it.
    """
    return sum(map(_excused, (job for job in evidence.jobs if job.scenario == scenario)))


def _seen_to_end(job: JobRecord) -> bool:
    return job.outcome in {Outcome.COMPLETED, Outcome.FAILED}


def _excused(job: JobRecord) -> bool:
    if job.accepted is None or job.deleted:
        return False
    removed = job.reported is not None and job.reported.lower() in REMOVED
    return removed or job.given_up == "cancelled" or job.outcome is Outcome.CANCELLED


def _not_followed(job: JobRecord) -> bool:
    """Return whether the client left a job before its end: the run stopped, it gave up, or its cancellation failed."""
    uncancelled = job.cancel_sent is not None and job.outcome is Outcome.ERROR and job.ended is None
    return job.outcome is Outcome.ABORTED or job.given_up is not None or uncancelled


def _lost(scenario: ScenarioRecord, accepted: list[JobRecord]) -> tuple[int, int]:
    """Return the lost jobs of a scenario, and those of which a gap in the list says nothing."""
    store = scenario.store
    assert store is not None, "its list was read"
    mine = [job for job in accepted if job.scenario == scenario.name]
    cut_off = sum(map(_not_followed, mine))
    unended = sum(store.by_status.get(word, 0) for word in UNENDED)
    missing = store.expected - store.found
    gone = min(missing, sum(map(_excused, mine)))
    return missing - gone + max(0, unended - cut_off), gone + min(unended, cut_off)


def _why(scenario: ScenarioRecord, otherwise: str = "not read") -> str:
    return literal((scenario.store.error if scenario.store else None) or otherwise)
