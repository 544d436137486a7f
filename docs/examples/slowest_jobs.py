"""The section of the slowest jobs: which to look at first, with their traces."""

from __future__ import annotations

from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name

SHOWN = 5


def section(evidence: Evidence) -> Section:
    """The slowest measured jobs of the run."""
    measured = [job for job in evidence.jobs if not job.warmup]
    if not measured:
        return Section("Slowest jobs", (Paragraph("No job was measured."),))
    slowest = sorted(measured, key=lambda job: (job.due - job.done, job.trace_id))[:SHOWN]
    rows = tuple(
        (place_name(job.scenario, job.case), text.seconds(job.done - job.due), str(job.outcome), f"`{job.trace_id}`")
        for job in slowest
    )
    columns = ("Scenario / case", "Response time", "Outcome", "Trace")
    caption = "Response time in seconds, exact values from the client's records."
    return Section("Slowest jobs", (Table(columns, rows, numeric=columns[1:2], caption=caption),))
