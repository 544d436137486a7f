"""Partial failures: scenes that were refused for good, and what the video was worth all the same."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Section, Table
from reelbench.reporting.evidence.evidence import STOPPED, Evidence
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion, proportion

SCENARIO = "partial_failures"


def handled(records: Evidence) -> Proportion | None:
    """Jobs that ended with a video, whole or partial, of all that ended; Wilson interval."""
    jobs = [job for job in records.scenario_jobs(SCENARIO) if job.outcome not in STOPPED]
    return proportion(sum(1 for job in jobs if job.outcome is Outcome.COMPLETED), len(jobs))


def section(evidence: Evidence) -> Section:
    """Whole, partial and failed jobs, scenes lost, and whether manifests say the same."""
    title = "Partial failure handling"
    if evidence.scenario(SCENARIO) is None:
        return Section(title, not_run(SCENARIO))
    jobs = [job for job in evidence.scenario_jobs(SCENARIO) if job.outcome not in STOPPED]
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
        ("no known end", sum(1 for job in jobs if job.outcome not in {Outcome.COMPLETED, Outcome.FAILED})),
    )
    rows = tuple(
        (name, text.fraction(share), text.rate(share)) for name, k in groups if (share := proportion(k, len(jobs)))
    )
    lost = exact_proportion(sum(scenes - done for scenes, done in read), sum(scenes for scenes, _ in read))
    items = []
    if video := handled(evidence):
        items.append(f"Jobs that ended with a video in spite of the fault: {text.quoted(video)}.")
    if lost:
        items.append(f"Scenes lost in completed videos: {text.quoted(lost)}, exact interval.")
    items.append(_agreement(evidence, partial))
    checked = [job for job in completed if job.integrity is not None]
    if checked:
        intact = sum(1 for job in checked if job.integrity == "ok")
        items.append(f"Files of {intact:,} of {len(checked):,} checked videos match their manifest.")
    columns = ("End of the job", "Jobs", "Share % (95 % CI)")
    caption = (
        "From the client's records and the manifests it read: a video is partial when a scene lacks sound or picture."
    )
    return Section(title, (Bullets(tuple(items)), Table(columns, rows, columns[1:], caption)))


def _agreement(evidence: Evidence, partial: int) -> str:
    said = evidence.value("service_jobs", SCENARIO, member="partial")
    counted = evidence.value("service_jobs", SCENARIO, member="completed")
    if said is None and counted is None:
        return f"The manifests show {partial:,} partial videos; the service's own count is not available."
    number = round(said or 0)
    verdict = "they agree" if number == partial else "**they differ**"
    return f"The manifests show {partial:,} partial videos, the service counted {number:,} (PromQL): {verdict}."
