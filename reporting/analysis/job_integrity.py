"""Integrity of jobs and files: lost, duplicated, corrupt or stuck."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import ScenarioRecord
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence

UNENDED = ("queued", "in_progress")
"""Statuses of a job that has not ended, in the list of videos."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Violations (of one terminal state per accepted job, and of files as in the manifest), with warm-up."""

    lost: int | None
    """Accepted, and not in the service's list afterwards or there without an end; None when no list was read."""
    expected: int
    """Jobs that the list must contain."""
    unread: tuple[str, ...]
    """Scenarios whose list was not read, with the reason."""
    duplicated: int
    """Ids that belong to more than one job of the log."""
    ids: int
    corrupt: int
    """Completed jobs with a file or field that does not match the manifest, or with a file missing."""
    checked: int
    stuck: int
    """Not ended within the scenario's time limit."""
    accepted: int
    files: int
    """Files downloaded and compared."""


def losses(evidence: Evidence, *scenarios: str) -> Losses:
    """Count the violations in scenarios that began."""
    found = [s for name in scenarios if (s := evidence.scenario(name)) is not None]
    jobs = [job for job in evidence.jobs if job.scenario in scenarios]
    accepted = [job for job in jobs if job.accepted is not None]
    checked = [job for job in jobs if job.integrity is not None]
    ids = Counter(job.job_id for job in jobs if job.job_id is not None)
    known = [s for s in found if s.store is not None and s.store.error is None]
    return Losses(
        lost=sum(_lost(s, accepted) for s in known) if known else None,
        expected=sum(s.store.expected for s in known if s.store),
        unread=tuple(f"{s.name} ({_why(s)})" for s in found if s not in known),
        duplicated=sum(1 for number in ids.values() if number > 1),
        ids=len(ids),
        corrupt=sum(1 for job in checked if job.integrity != "ok"),
        checked=len(checked),
        stuck=sum(1 for job in accepted if job.outcome is Outcome.TIMEOUT),
        accepted=len(accepted),
        files=sum(job.files or 0 for job in checked),
    )


def _lost(scenario: ScenarioRecord, accepted: list[JobRecord]) -> int:
    store = scenario.store
    assert store is not None
    # jobs of a stopped run had no time to end
    aborted = sum(1 for job in accepted if job.scenario == scenario.name and job.outcome is Outcome.ABORTED)
    unended = max(0, sum(store.by_status.get(word, 0) for word in UNENDED) - aborted)
    return store.expected - store.found + unended


def _why(scenario: ScenarioRecord) -> str:
    return literal((scenario.store.error if scenario.store else None) or "not read")
