"""Partial failures: videos of jobs in which a provider refused single scenes."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.analysis import subjects
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import STOPPED, Evidence
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion, proportion


def handled(evidence: Evidence) -> Proportion | None:
    """Return the jobs that ended with a video, whole or partial, of all that ended; Wilson interval."""
    jobs = _jobs(evidence)
    return proportion(sum(1 for job in jobs if job.outcome is Outcome.COMPLETED), len(jobs))


def section(evidence: Evidence) -> Section:
    """Return whole, partial and failed jobs, lost scenes, and whether manifests and service agree."""
    title = "Partial failure handling"
    found = subjects.refused_calls(evidence)
    if not found:
        return Section(title, (Paragraph("No provider refused calls with a permanent error in this run."),))
    jobs = _jobs(evidence)
    completed = [job for job in jobs if job.outcome is Outcome.COMPLETED]
    read = [
        (job.scenes, job.scenes_completed)
        for job in completed
        if job.scenes is not None and job.scenes_completed is not None
    ]
    whole = sum(1 for scenes, done in read if done == scenes)
    partial = len(read) - whole
    groups = (
        ("completed, whole", whole),
        ("completed, partial", partial),
        ("completed, manifest not read", len(completed) - len(read)),
        ("failed", sum(1 for job in jobs if job.outcome is Outcome.FAILED)),
        ("end not known", sum(1 for job in jobs if job.outcome not in {Outcome.COMPLETED, Outcome.FAILED})),
    )
    rows = tuple(
        (name, text.fraction(share), text.rate(share)) for name, k in groups if (share := proportion(k, len(jobs)))
    )
    items = []
    if video := handled(evidence):
        items.append(f"Jobs with a video despite the fault: {text.quoted(video)}.")
    if lost := exact_proportion(sum(scenes - done for scenes, done in read), sum(scenes for scenes, _ in read)):
        items.append(f"Scenes lost in completed videos: {text.quoted(lost)}, exact interval.")
    items.append(_agreement(evidence, subjects.names(found), partial))
    if checked := [job for job in completed if job.integrity is not None]:
        intact = sum(1 for job in checked if job.integrity == "ok")
        items.append(f"Videos whose files match their manifest: {intact:,} of {len(checked):,} checked.")
    columns = ("End of the job", "Jobs", "Share % (95 % CI)")
    caption = (
        f"Scenario {', '.join(f'`{s.name}`' for s in found)}, from the client's records and the manifests it read. "
        "Partial: a scene lacks sound or picture."
    )
    return Section(title, (Bullets(tuple(items)), Table(columns, rows, columns[1:], caption)))


def _jobs(evidence: Evidence) -> list[JobRecord]:
    found = subjects.refused_calls(evidence)
    return [job for s in found for job in evidence.scenario_jobs(s.name) if job.outcome not in STOPPED]


def _agreement(evidence: Evidence, names: list[str], partial: int) -> str:
    said = [
        evidence.value(Role.SERVICE_JOBS, name, member=member) for name in names for member in ("partial", "completed")
    ]
    if all(value is None for value in said):
        return f"Partial videos: {partial:,} by the manifests; the service's count is not available."
    number = round(sum(value or 0 for value in said[::2]))
    verdict = "the counts agree" if number == partial else "**the counts differ**"
    return f"Partial videos: {partial:,} by the manifests, {number:,} by the service (PromQL): {verdict}."
