"""Single jobs worth a look: the slowest of some cases and failed ones, each with its trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
TRACES = "Traces of single jobs"
_COLUMNS = ("Scenario / case", "Job", "Response time [s]", "Outcome", "Error", "Trace")


def section(evidence: Evidence, dimension: str) -> Section:
    """Return the slowest completed job of three cases and at most five failed jobs of a dimension."""
    slow, bad = slowest(evidence, dimension), failed(evidence, dimension)
    if not slow and not bad:
        return Section(TITLE, (Paragraph("No measured job ended."),))
    blocks: list[Block] = []
    if evidence.traces.absent:
        blocks.append(Paragraph(f"Traces not available: {evidence.traces.absent}."))
    else:
        blocks.append(Paragraph(f"[The spans of these jobs](#appendix-{dimension}-traces-of-single-jobs)."))
    if slow:
        caption = "The slowest completed job of a case, compared with the median of its own case."
        blocks.append(_table(evidence, slow, caption))
    if bad:
        shown = bad[:FAILED]
        rest = len(bad) - len(shown)
        more = f" {rest:,} more are not shown." if rest else ""
        caption = f"Jobs without a video, {len(bad):,} in all, one of each kind first.{more}"
        blocks.append(_table(evidence, shown, caption))
    else:
        blocks.append(Paragraph("Every measured job ended with a video or was stopped by the plan."))
    return Section(TITLE, tuple(blocks))


def traces(evidence: Evidence, dimension: str) -> Section | None:
    """Return the spans of the jobs that the report names; None where there are no traces."""
    jobs = (*slowest(evidence, dimension), *failed(evidence, dimension)[:FAILED])
    blocks = tuple(block for job in jobs for block in _spans(evidence, job)) if not evidence.traces.absent else ()
    return Section(TRACES, blocks, folded=True) if blocks else None


def _table(evidence: Evidence, jobs: Sequence[JobRecord], caption: str) -> Table:
    rows = tuple(
        (
            place_name(job.scenario, job.case),
            str(job.index),
            text.seconds(job.done - job.due),
            job.outcome.value,
            literal(job.error) if job.error else text.NONE,
            _linked(evidence, job),
        )
        for job in jobs
    )
    return Table(_COLUMNS, rows, ("Job", "Response time [s]"), caption)


def _spans(evidence: Evidence, job: JobRecord) -> Iterator[Block]:
    place = f"Job {job.index} of {place_name(job.scenario, job.case)}, trace {_linked(evidence, job)}"
    spans = evidence.traces.spans.get(job.trace_id)
    if spans is None:
        yield Paragraph(f"{place}: the trace was not found.")
        return
    yield Paragraph(f"{place}; times from its intended start:")
    yield Code(span_tree(spans, job.due, seconds_in_spans(spans, job.due, job.done)))


def _linked(evidence: Evidence, job: JobRecord) -> str:
    grafana = grafana_of(evidence)
    return link(f"`{job.trace_id}`", grafana and grafana_links.trace(grafana, job.trace_id, job.due, job.done))
