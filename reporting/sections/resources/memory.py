"""Memory patterns: at rest, at the peak, for a job."""

from __future__ import annotations

from reelbench.reporting.analysis.process_usage import PROCESSES, UNDER_TEST, memory
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name

DIMENSION = "resources"
IDLE = "idle_baseline"
SINGLE = "single_job"


def section(evidence: Evidence) -> Section:
    """Memory of every process in every case, and of the service beside the load."""
    items = [sentence for sentence in (_idle(evidence), _single(evidence)) if sentence]
    blocks: list[Block] = [Bullets(tuple(items))] if items else []
    rows = _rows(evidence)
    if not rows:
        return Section("Memory", (Paragraph("No samples of memory were stored in the cases of this run."),))
    columns = (
        "Scenario / case", "Process", "Samples", "Before", "Median", "Peak", "After", "Peak - before",
        "For each in flight",
    )  # fmt: skip
    caption = (
        "Resident memory in MB (10^6), raw samples. Before: the last sample before the first job, after: the last one "
        "of the rest behind the case, in which nothing is sent. Media workers are the service's processes that read "
        "documents and compose videos; pages they share count for each. A peak between two samples is not seen. Memory "
        "that an earlier, heavier load left free in a process serves jobs without showing: on a fresh service a job "
        "takes more."
    )
    return Section("Memory", (*blocks, Table(columns, rows, columns[2:], caption)))


def _rows(evidence: Evidence) -> tuple[tuple[str, ...], ...]:
    rows = []
    for scenario, case in evidence.cases(DIMENSION):
        for process in ("service + media workers", *PROCESSES):
            parts = UNDER_TEST if process == "service + media workers" else (process,)
            found = memory(evidence, scenario.name, case, *parts)
            if found is None:
                continue
            each = found.growth / case.concurrency if found.growth is not None and case.concurrency else None
            rows.append(
                (
                    place_name(scenario.name, case.name),
                    process,
                    text.count(found.n),
                    *(
                        text.megabytes(value)
                        for value in (found.before, found.median, found.peak, found.after, found.growth)
                    ),
                    text.megabytes(each, 2) if len(parts) > 1 else text.NONE,
                )
            )
    return tuple(rows)


def _idle(evidence: Evidence) -> str:
    found = evidence.scenario(IDLE)
    case = next((c for c in found.cases if c.started is not None), None) if found else None
    idle = memory(evidence, IDLE, case, *UNDER_TEST) if case else None
    if idle is None:
        return ""
    return (
        f"At rest, before any other load of this dimension, service and media workers hold "
        f"**{text.amount(idle.median)}** (median, n = {idle.n} samples)."
    )


def _single(evidence: Evidence) -> str:
    found = evidence.measured("memory_per_job", SINGLE)
    if found is None or found.value is None:
        return ""
    scenario = evidence.scenario(SINGLE)
    case = next(c for c in scenario.cases if c.started is not None) if scenario else None
    figures = memory(evidence, SINGLE, case, *UNDER_TEST) if case else None
    sentence = (
        f"Jobs one at a time need up to **{text.amount(found.value)}** above the memory before them (peak less "
        f"before, n = {found.n} jobs)"
    )
    if figures is None or figures.kept is None or not found.n:
        return f"{sentence}."
    if figures.kept <= 0:
        return f"{sentence}; all of it was given back after the rest."
    return (
        f"{text}; {text.amount(figures.kept)} of it was still held after the rest, "
        f"{text.amount(figures.kept / found.n)} a job."
    )
