"""What the script of the HTML page draws: time axes, percentiles by sample size, jobs, and spans of sampled jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from typing import Final

import msgspec
import numpy as np

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.analysis.bins import short
from reelbench.reporting.analysis.run_timeline import case_timeline, run_timeline
from reelbench.reporting.analysis.span_tree import tree
from reelbench.reporting.analysis.timeline import Timeline
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.statistics.intervals import percentile

MOST_JOBS: Final = 2_000
"""Jobs on the page; of more, a sample that has every kind."""
MOST_FAILED: Final = 500
"""Jobs that did not complete, in that sample."""
SLOWEST: Final = 5
"""Slowest jobs of each case in that sample."""
MOST_TRACES: Final = 200
MOST_SPANS: Final = 120
"""Spans of one job, the highest of its tree."""
SIZES: Final = 30
"""Sample sizes at which percentiles are computed."""
LEAST_SIZE: Final = 5
"""The first of them; of fewer jobs there is one, of all."""
MOST_CASES: Final = 80
"""Cases with a time axis of their own."""

Estimate = tuple[float, float | None, float | None]
"""Value, lower and upper limit of its 95 % interval; None where the sample is too small for a limit."""


class Growth(msgspec.Struct, frozen=True, gc=False):
    """Percentiles of the first `n` response times of a case, in the order in which the jobs ended."""

    n: tuple[int, ...]
    p50: tuple[Estimate, ...]
    p95: tuple[Estimate, ...]
    p99: tuple[Estimate, ...]


class PageCase(msgspec.Struct, frozen=True):
    """One case."""

    scenario: str
    case: str
    jobs: int
    """Measured jobs, without warm-up."""
    completed: int
    failed: int
    """Measured jobs with any other end."""
    timeline: Timeline | None
    growth: Growth | None


class JobRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One job, written as a list."""

    place: int
    """Position of its case in `PageData.cases`."""
    index: int
    due: float
    """Seconds since the start of the run."""
    seconds: float
    """From its intended start to its end."""
    outcome: str
    error: str
    bytes: int
    trace: int
    """Position of its spans in `PageData.traces`; -1 without spans."""
    warmup: int
    """1 for a warm-up job."""


class SpanRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One span, written as a list; parents stand before their children."""

    depth: int
    service: int
    """Position in `PageData.words`."""
    name: int
    """Position in `PageData.words`."""
    start: float
    """Milliseconds since the job's intended start."""
    length: float
    """Milliseconds."""
    error: str


class PageData(msgspec.Struct, frozen=True):
    """Everything that the script of the page needs."""

    timeline: Timeline | None
    cases: tuple[PageCase, ...]
    jobs: tuple[JobRow, ...]
    total: int
    """Jobs of the run."""
    traces: tuple[tuple[SpanRow, ...], ...]
    words: tuple[str, ...]
    """Names of services and spans."""


def page_data(evidence: Evidence) -> PageData:
    """Return the data of a run's page; jobs and traces beyond a page's size are sampled."""
    places = [(s.name, c.name) for s in evidence.run.scenarios for c in s.cases if c.started is not None]
    cases = tuple(_case(evidence, *place, drawn=number < MOST_CASES) for number, place in enumerate(places))
    position = {place: number for number, place in enumerate(places)}
    jobs = [job for job in evidence.jobs if (job.scenario, job.case) in position]
    traced = _traced(evidence, jobs)
    words: dict[str, int] = {}
    traces = tuple(_spans(evidence, job, words) for job in traced)
    numbers = {job.trace_id: number for number, job in enumerate(traced)}
    rows = tuple(
        JobRow(
            place=position[job.scenario, job.case],
            index=job.index,
            due=round(job.due - evidence.run.started, 3),
            seconds=round(job.done - job.due, 4),
            outcome=job.outcome.value,
            error=job.error or "",
            bytes=job.bytes,
            trace=numbers.get(job.trace_id, -1),
            warmup=int(job.warmup),
        )
        for job in _shown(jobs, numbers)
    )
    return PageData(run_timeline(evidence), cases, rows, len(evidence.jobs), traces, tuple(words))


def _case(evidence: Evidence, scenario: str, case: str, *, drawn: bool) -> PageCase:
    jobs = evidence.case_jobs(scenario, case)
    completed = sum(job.outcome is Outcome.COMPLETED for job in jobs)
    timeline = case_timeline(evidence, scenario, case) if drawn else None
    times = [job.done - job.due for job in sorted(evidence.stretch(scenario, case).completed, key=lambda job: job.done)]
    growth = _growth(times) if drawn and times else None
    return PageCase(scenario, case, len(jobs), completed, len(jobs) - completed, timeline, growth)


def _growth(times: Sequence[float]) -> Growth:
    sizes = sorted({round(n) for n in np.geomspace(min(LEAST_SIZE, len(times)), len(times), SIZES)})
    columns: list[list[Estimate]] = [[], [], []]
    values = np.asarray(times, dtype=float)
    for size in sizes:
        ordered = np.sort(values[:size])
        for column, share in zip(columns, (0.5, 0.95, 0.99), strict=True):
            found = percentile(ordered, share)
            lower, upper = found.interval.lower, found.interval.upper
            column.append(
                (short(found.value), None if lower is None else short(lower), None if upper is None else short(upper))
            )
    p50, p95, p99 = (tuple(column) for column in columns)
    return Growth(tuple(sizes), p50, p95, p99)


def _traced(evidence: Evidence, jobs: Iterable[JobRecord]) -> list[JobRecord]:
    """Return jobs with spans, evenly from all cases: those that failed first, then the slowest."""
    known = [job for job in jobs if evidence.traces.spans.get(job.trace_id)]
    return _evenly(known, lambda job: (job.outcome is Outcome.COMPLETED, job.due - job.done), MOST_TRACES)


def _shown(jobs: Sequence[JobRecord], traced: dict[str, int]) -> list[JobRecord]:
    """Return the jobs of the page in the order of their intended starts."""
    kept = list(jobs)
    if len(jobs) > MOST_JOBS:
        failed = [job for job in jobs if job.outcome is not Outcome.COMPLETED]
        slow = _evenly(jobs, lambda job: job.due - job.done, MOST_JOBS, per_case=SLOWEST)
        spread = [jobs[len(jobs) * i // MOST_JOBS] for i in range(MOST_JOBS)]
        first = [*(job for job in jobs if job.trace_id in traced), *_evenly(failed, lambda job: job.due, MOST_FAILED)]
        every = max(len(spread) // max(MOST_JOBS - len(first) - len(slow), 1), 1)
        chosen = {(job.scenario, job.case, job.index): job for job in (*first, *slow, *spread[::every])}
        kept = list(chosen.values())[:MOST_JOBS]
    return sorted(kept, key=lambda job: job.due)


def _evenly(
    jobs: Iterable[JobRecord],
    rank: Callable[[JobRecord], object],
    most: int,
    per_case: int | None = None,
) -> list[JobRecord]:
    """Return the first jobs of each case by rank, then the second ones, and so on."""
    cases: dict[tuple[str, str], list[JobRecord]] = defaultdict(list)
    for job in jobs:
        cases[job.scenario, job.case].append(job)
    ordered = [
        (number, job)
        for one in cases.values()
        for number, job in enumerate(nsmallest(per_case or most, one, key=rank))  # type: ignore[arg-type]
    ]
    return [job for _, job in sorted(ordered, key=lambda pair: pair[0])][:most]


def _spans(evidence: Evidence, job: JobRecord, words: dict[str, int]) -> tuple[SpanRow, ...]:
    spans = tree(evidence.traces.spans[job.trace_id])
    highest = set(sorted(range(len(spans)), key=lambda i: (spans[i][1], i))[:MOST_SPANS])
    spans = [pair for number, pair in enumerate(spans) if number in highest]
    return tuple(
        SpanRow(
            depth,
            words.setdefault(span.service, len(words)),
            words.setdefault(f"{span.name} (scene {span.scene})" if span.scene else span.name, len(words)),
            round((span.started - job.due) * 1000, 1),
            round((span.ended - span.started) * 1000, 1),
            span.error[:200],
        )
        for span, depth in spans
    )
