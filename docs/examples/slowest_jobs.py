"""The section of the slowest jobs, with their traces."""

from __future__ import annotations

from reelbench.reporting.document import text
from reelbench.reporting.document.report import Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name

SHOWN = 5


def section(evidence: Evidence) -> Section | None:
    """Return the slowest measured jobs of the run; None when no job was measured."""
    measured = [job for job in evidence.jobs if not job.warmup]
    if not measured:
        return None
    slowest = sorted(measured, key=lambda job: (job.due - job.done, job.trace_id))[:SHOWN]
    rows = tuple(
        (place_name(job.scenario, job.case), text.seconds(job.done - job.due), str(job.outcome), f"`{job.trace_id}`")
        for job in slowest
    )
    columns = ("Scenario / case", "Response time", "Outcome", "Trace")
    caption = "Response time in seconds, exact values from the client's records."
    return Section("Slowest jobs", (Table(columns, rows, numeric=columns[1:2], caption=caption),))
