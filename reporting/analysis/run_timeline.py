"""A run, or one case of it, on one time axis, from its records and the samples that were kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.bins import Bins, Numbers, bins
from reelbench.reporting.analysis.resource_timeline import resource_panels
from reelbench.reporting.analysis.timeline import MOST_BINS, Shade, Timeline, TimePanel, TimeSeries, step_of
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, once

CASE_BINS = 150
"""Bins of the time axis of one case, of which a run has dozens."""
WAITED = 0.5
"""Jobs that are due but not sent, in a bin, from which on their line is shown."""
FAILED = frozenset(Outcome) - STOPPED - {Outcome.COMPLETED}
_CODES = {outcome: code for code, outcome in enumerate(Outcome)}


class _Columns(msgspec.Struct, frozen=True):
    """Instants and outcomes of jobs."""

    due: Numbers
    sent: Numbers
    done: Numbers
    outcome: NDArray[np.int8]

    @classmethod
    def of(cls, jobs: Sequence[JobRecord]) -> Self:
        due, sent, done = (
            np.fromiter(map(attrgetter(name), jobs), dtype=np.float64, count=len(jobs))
            for name in ("due", "sent", "done")
        )
        codes = (_CODES[job.outcome] for job in jobs)
        return cls(due, sent, done, np.fromiter(codes, dtype=np.int8, count=len(jobs)))

    def ended(self, outcomes: frozenset[Outcome]) -> NDArray[np.bool_]:
        """Return which jobs ended in one of some ways."""
        return np.isin(self.outcome, [_CODES[outcome] for outcome in outcomes])


@once
def run_timeline(evidence: Evidence, most: int = MOST_BINS, step: float | None = None) -> Timeline | None:
    """Return the whole run, in bins of `step` seconds where it is given; None for a run without jobs and cases."""
    run, columns = evidence.run, _all_columns(evidence)
    begins = [case.started for scenario in run.scenarios for case in scenario.cases if case.started is not None]
    ends = [case.ended for scenario in run.scenarios for case in scenario.cases if case.ended is not None]
    if len(columns.due):
        begins.append(float(columns.due.min()))
        ends.append(float(columns.done.max()))
    if not begins or not ends:
        return None
    axis = _axis(min(begins), max(ends), most, step)
    return _timeline(evidence, axis, evidence.jobs, columns, _shades(evidence, axis))


@once
def dimension_timeline(evidence: Evidence, dimension: str, most: int = MOST_BINS) -> Timeline | None:
    """Return the time from the first to the last scenario of a dimension; None when none of them has begun."""
    found = evidence.scenarios(dimension)
    jobs = [job.done for scenario in found for job in evidence.scenario_jobs(scenario.name)]
    begins = [scenario.started for scenario in found if scenario.started is not None]
    ends = [scenario.ended for scenario in found if scenario.ended is not None] + jobs
    if not begins or not ends or max(ends) <= min(begins):
        return None
    axis = _axis(min(begins), max(ends), most)
    return _timeline(evidence, axis, evidence.jobs, _all_columns(evidence), _shades(evidence, axis))


@once
def case_timeline(
    evidence: Evidence, scenario: str, case: str, most: int = CASE_BINS, step: float | None = None
) -> Timeline | None:
    """Return one case with its warm-up, in bins of `step` seconds where it is given; None for one that sent nothing."""
    found = _places(evidence).get((scenario, case))
    if found is None:
        return None
    record, jobs = found
    columns = _Columns.of(jobs)
    begins = [*columns.due, *([record.started] if record.started is not None else [])]
    ends = [*columns.done, *([record.ended] if record.ended is not None else [])]
    if not begins or not ends or max(ends) <= min(begins):
        return None
    axis = _axis(float(min(begins)), float(max(ends)), most, step)
    return _timeline(evidence, axis, jobs, columns, _shades(evidence, axis, (scenario, case)))


@once
def _all_columns(evidence: Evidence) -> _Columns:
    return _Columns.of(evidence.jobs)


@once
def _places(evidence: Evidence) -> dict[tuple[str, str], tuple[CaseRecord, list[JobRecord]]]:
    """Return each case with all its jobs, warm-up included."""
    found: dict[tuple[str, str], tuple[CaseRecord, list[JobRecord]]] = {
        (scenario.name, case.name): (case, []) for scenario in evidence.run.scenarios for case in scenario.cases
    }
    for job in evidence.jobs:
        if (job.scenario, job.case) in found:
            found[job.scenario, job.case][1].append(job)
    return found


def _axis(start: float, end: float, most: int, step: float | None = None) -> Bins:
    return bins(start, end, step or step_of(end - start, most))


def _timeline(
    evidence: Evidence, axis: Bins, jobs: Sequence[JobRecord], columns: _Columns, shades: Iterable[Shade]
) -> Timeline:
    panels = (*_job_panels(axis, jobs, columns), *resource_panels(evidence, axis))
    return Timeline(round(axis.start, 3), axis.step, panels, tuple(shades))


def _job_panels(axis: Bins, jobs: Sequence[JobRecord], columns: _Columns) -> Iterator[TimePanel]:
    if not jobs:
        return
    due, sent, done = columns.due, columns.sent, columns.done
    completed, stopped = columns.ended(frozenset({Outcome.COMPLETED})), columns.ended(STOPPED)
    ended = done[completed]
    p50, p95 = axis.quantiles(ended, ended - due[completed], (0.5, 0.95))
    yield TimePanel(
        "response_time",
        "Response time of jobs that completed",
        "s",
        (TimeSeries("p50", "P50", p50), TimeSeries("p95", "P95", p95)),
    )
    rates = [
        TimeSeries("arrivals", "arrivals", axis.rate(due)),
        TimeSeries("completions", "completions", axis.rate(ended)),
        TimeSeries("failures", "failures", axis.rate(done[columns.ended(FAILED)])),
    ]
    if stopped.any():
        rates.append(TimeSeries("stopped", "cancelled or cut off", axis.rate(done[stopped])))
    yield TimePanel("jobs", "Jobs", "jobs/s", tuple(rates))
    flight = [TimeSeries("in_flight", "in flight", axis.in_progress(sent, done))]
    late = axis.in_progress(due, sent)
    if max((value for value in late if value is not None), default=0.0) >= WAITED:
        flight.append(TimeSeries("not_sent", "due, not sent", late))
    yield TimePanel("in_flight", "Jobs in flight", "jobs", tuple(flight))
    yield from _work(axis, jobs)


def _work(axis: Bins, jobs: Sequence[JobRecord]) -> Iterator[TimePanel]:
    """The server's queue by its own account of its work: a job waits from its acceptance to the begin of its work."""
    known = [
        (job.accepted, max(job.ended - job.server.inference, job.accepted), job.ended)
        for job in jobs
        if job.accepted is not None
        and job.ended is not None
        and job.server is not None
        and job.server.inference is not None
    ]
    if not known:
        return
    accepted, begun, ended = (np.array(column) for column in zip(*known, strict=True))
    yield TimePanel(
        "queue",
        "Accepted jobs by the server's account of its work",
        "jobs",
        (
            TimeSeries("waiting", "waiting", axis.in_progress(accepted, begun)),
            TimeSeries("in_work", "in work", axis.in_progress(begun, ended)),
        ),
    )


def _shades(evidence: Evidence, axis: Bins, place: tuple[str, str] | None = None) -> Iterator[Shade]:
    """Yield scenarios, cases with their warm-up, and faults; of one case only those of the case."""
    end = axis.start + axis.step * axis.count

    def shade(kind: str, name: str, begin: float, until: float | None) -> Iterator[Shade]:
        low, high = max(begin, axis.start), min(end if until is None else until, end)
        if low < high:
            yield Shade(kind, name, round(low - axis.start, 3), round(high - axis.start, 3))  # type: ignore[arg-type]

    for scenario in evidence.run.scenarios:
        cases = [case for case in scenario.cases if place is None or place == (scenario.name, case.name)]
        if place is None and scenario.started is not None:
            yield from shade("scenario", scenario.name, scenario.started, scenario.ended)
        for case in cases:
            if case.started is None:
                continue
            name = f"{scenario.name} / {case.name}"
            yield from shade("case", name, case.started, case.ended)
            if case.warmup and (first := _first(evidence, scenario, case)) is not None and first < case.started:
                yield from shade("warm_up", name, first, case.started)
    for fault in sorted(evidence.run.faults, key=lambda fault: fault.started):
        if place is None or place == (fault.scenario, fault.case):
            yield from shade("fault", f"{fault.target} {fault.kind}", fault.started, fault.ended)


def _first(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> float | None:
    return min((job.due for job in _places(evidence)[scenario.name, case.name][1] if job.warmup), default=None)
