"""Times and memory that a server writes into its answers: fields of the video, and Server-Timing."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from reelbench.loadgen.record.jobs import JobRecord, ServerTimes
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Section, Table
from reelbench.reporting.document.text import literal
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import percentile

P95 = 0.95


def _between(first: str, second: str) -> Callable[[ServerTimes], float | None]:
    def length(times: ServerTimes) -> float | None:
        begun, ended = getattr(times, first), getattr(times, second)
        return ended - begun if begun is not None and ended is not None else None

    return length


TIMES: dict[str, Callable[[ServerTimes], float | None]] = {
    "inference_time_s": lambda times: times.inference,
    "created to started": _between("created", "started"),
    "started to completed": _between("started", "completed"),
    "created to completed": _between("created", "completed"),
}


def section(evidence: Evidence) -> Section | None:
    """Return what the answers said of each case; None when they said nothing."""
    rows, memory = [], []
    for scenario, case in evidence.cases(Dimension.PERFORMANCE):
        name = place_name(scenario.name, case.name)
        jobs = [job for job in evidence.case_jobs(scenario.name, case.name) if job.server is not None]
        rows += [(name, *row) for row in _rows(jobs)]
        peaks = [job.server.peak_memory for job in jobs if job.server and job.server.peak_memory is not None]
        if peaks:
            memory.append((name, text.count(len(peaks)), *(text.megabytes(f(peaks)) for f in (min, fmean, max))))
    blocks: list[Block] = []
    if rows:
        columns = ("Scenario / case", "Time", "n", "Mean [s]", "P95 [s]", "Least [s]", "Most [s]")
        caption = (
            "Fields and Server-Timing headers of the server's answers about measured jobs, by the server's clock. "
            "Timestamps of many servers are whole seconds, so a length between two of them is off by up to 1 s. P95 is "
            "an observed value."
        )
        blocks.append(Table(columns, tuple(rows), columns[2:], caption))
    if memory:
        heads = ("Scenario / case", "n", "Least [MB]", "Mean [MB]", "Most [MB]")
        blocks.append(Table(heads, tuple(memory), heads[1:], "Peak memory of a job (`peak_memory_mb` of its answer)."))
    return Section("Times in the server's answers", tuple(blocks)) if blocks else None


def _rows(jobs: list[JobRecord]) -> list[tuple[str, ...]]:
    known = [job.server for job in jobs if job.server is not None]
    found = {name: [value for one in known if (value := read(one)) is not None] for name, read in TIMES.items()}
    stages = sorted({stage for one in known for stage in one.stages})
    found |= {f"Server-Timing: {literal(s)}": [one.stages[s] for one in known if s in one.stages] for s in stages}
    return [
        (
            name,
            text.count(len(values)),
            text.seconds(fmean(values)),
            text.seconds(percentile(sorted(values), P95).value),
            text.seconds(min(values)),
            text.seconds(max(values)),
        )
        for name, values in found.items()
        if values
    ]
