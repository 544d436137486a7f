"""Single jobs worth a look: the slowest and the failed ones, each with its trace."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.loadgen.record.jobs import JobRecord
from reelbench.reporting.analysis.critical_path import seconds_in_spans
from reelbench.reporting.analysis.span_tree import span_tree
from reelbench.reporting.document import grafana_links, text
from reelbench.reporting.document.report import Block, Code, Paragraph, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.trace_sampling import FAILED, failed, slowest
from reelbench.reporting.sections.verdict import grafana_of, link

TITLE = "Slowest and failed jobs"
_COLUMNS = ("Scenario / case", "Job", "Response time [s]", "Outcome", "Error", "Trace")


def section(evidence: Evidence, dimension: str) -> Section:
    """Return the three slowest completed and at most five failed jobs of a dimension, with their spans."""
    slow, bad = slowest(evidence, dimension), failed(evidence, dimension)
    if not slow and not bad:
        return Section(TITLE, (Paragraph("No measured job ended."),))
    blocks: list[Block] = []
    if evidence.traces.absent:
        blocks.append(Paragraph(f"Traces not available: {evidence.traces.absent}."))
    if slow:
        blocks += _jobs(evidence, slow, f"The {len(slow)} slowest completed jobs of all cases.")
    if bad:
        shown = bad[:FAILED]
        rest = len(bad) - len(shown)
        more = f" {rest:,} more are not shown." if rest else ""
        blocks += _jobs(evidence, shown, f"Jobs without a video, {len(bad):,} in all, one of each kind first.{more}")
    else:
        blocks.append(Paragraph("Every measured job ended with a video or was stopped by the plan."))
    return Section(TITLE, tuple(blocks))


def _jobs(evidence: Evidence, jobs: Sequence[JobRecord], caption: str) -> list[Block]:
    rows = tuple(
        (
            place_name(job.scenario, job.case),
            str(job.index),
            text.seconds(job.done - job.due),
            job.outcome.value,
            literal(job.error) if job.error else text.NONE,
            f"`{job.trace_id}`",
        )
        for job in jobs
    )
    blocks: list[Block] = [Table(_COLUMNS, rows, ("Job", "Response time [s]"), caption)]
    for job in jobs:
        place = f"Job {job.index} of {place_name(job.scenario, job.case)}, trace {_linked(evidence, job)}"
        spans = evidence.traces.spans.get(job.trace_id)
        if spans is not None:
            blocks.append(Paragraph(f"{place}; times from its intended start:"))
            blocks.append(Code(span_tree(spans, job.due, seconds_in_spans(spans, job.due, job.done))))
        elif not evidence.traces.absent:
            blocks.append(Paragraph(f"{place}: the trace was not found."))
    return blocks


def _linked(evidence: Evidence, job: JobRecord) -> str:
    grafana = grafana_of(evidence)
    return link(f"`{job.trace_id}`", grafana and grafana_links.trace(grafana, job.trace_id, job.due, job.done))
