"""Memory: idle, at the peak, per job."""

from __future__ import annotations

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.process_usage import PROCESSES, UNDER_TEST, Memory, memory
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name


def section(evidence: Evidence) -> Section:
    """Return the memory of every process in every case."""
    items = [sentence for sentence in (_idle(evidence), _single(evidence)) if sentence]
    blocks: list[Block] = [Bullets(tuple(items))] if items else []
    rows = _rows(evidence)
    if not rows:
        return Section("Memory", (Paragraph("No samples of memory were stored in the cases of this run."),))
    columns = (
        "Scenario / case", "Process", "Samples", "Before", "Median", "Peak", "After", "Peak - before",
        "Per job in flight",
    )  # fmt: skip
    caption = (
        "Resident memory in MB (10^6), raw samples. Before: the last sample before the first job. After: the last "
        "sample of the cooldown after the case, in which no job is sent. Media workers: the service's processes that "
        "read documents and compose videos; shared pages count for each of them. Peaks between two samples are not "
        "seen. Jobs can reuse memory that a process kept free after an earlier, heavier load; on a fresh service a job "
        "needs more."
    )
    return Section("Memory", (*blocks, Table(columns, rows, columns[2:], caption)))


def _rows(evidence: Evidence) -> tuple[tuple[str, ...], ...]:
    rows = []
    for scenario, case in evidence.cases(Dimension.RESOURCES):
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


def single(evidence: Evidence) -> tuple[Memory, int] | None:
    """Return the memory through the case with one job at a time, and its jobs."""
    found = subjects.single_job(evidence)
    held = memory(evidence, found.name, found.case, *UNDER_TEST) if found else None
    return (held, len(evidence.case_jobs(found.name, found.case.name))) if found and held else None


def _idle(evidence: Evidence) -> str:
    found = subjects.idle(evidence)
    idle = memory(evidence, found.name, found.case, *UNDER_TEST) if found else None
    if found is None or idle is None:
        return ""
    return (
        f"Without load (`{found.name}`), service and media workers hold **{text.amount(idle.median)}** (median, "
        f"n = {idle.n} samples)."
    )


def _single(evidence: Evidence) -> str:
    found = single(evidence)
    if found is None or found[0].growth is None:
        return ""
    held, jobs = found
    sentence = (
        f"Jobs one at a time need up to **{text.amount(held.growth)}** above the memory before them (peak minus "
        f"before, n = {jobs} jobs)"
    )
    if held.kept is None or not jobs:
        return f"{sentence}."
    if held.kept <= 0:
        return f"{sentence}; all of it was released after the cooldown."
    return (
        f"{sentence}; {text.amount(held.kept)} of it was not released after the cooldown, "
        f"{text.amount(held.kept / jobs)} per job."
    )
