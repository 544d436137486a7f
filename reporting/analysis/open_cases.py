"""Jobs of an open case by fate: offered, sent, finished, cut off; counted from the records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.rate_rule import CUT_OFF, RateFindings, RateLimits, judge
from reelbench.loadgen.record.run import ArrivalsRecord, CaseRecord, RunState, ScenarioRecord
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, once
from reelbench.reporting.statistics.censoring import Tail, tail
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion


@dataclass(frozen=True)
class OpenCase:
    """The measured jobs of one open case."""

    scenario: str
    case: str
    load: ArrivalsRecord
    started: float
    offered: int
    """Jobs that were due: those of the plan, or as many as were due until the user stopped the run."""
    jobs: tuple[JobRecord, ...]
    """In the order in which they were due."""
    broken: int = 0
    """Completed jobs whose file does not decode."""

    @cached_property
    def sent(self) -> tuple[JobRecord, ...]:
        """Jobs that were sent."""
        return tuple(job for job in self.jobs if job.sent < job.done)

    @cached_property
    def completed(self) -> tuple[JobRecord, ...]:
        """Completed jobs."""
        return tuple(job for job in self.jobs if job.outcome is Outcome.COMPLETED)

    @cached_property
    def cut_off(self) -> tuple[JobRecord, ...]:
        """Jobs not finished when the client stopped waiting, including jobs that were never sent."""
        return tuple(job for job in self.jobs if job.outcome in CUT_OFF)

    @property
    def failed(self) -> int:
        """Jobs that ended without a video."""
        return len(self.jobs) - len(self.completed) - len(self.cut_off)

    @property
    def held(self) -> int:
        """Jobs that had to wait for the limit of jobs in flight."""
        return sum(job.released is not None for job in self.jobs)

    @property
    def delivered(self) -> float:
        """Share of the offered jobs that ended in time, with or without a video."""
        return (len(self.jobs) - len(self.cut_off)) / self.offered if self.offered else 0.0

    @property
    def success(self) -> Proportion | None:
        """Share of completed jobs with a file that is not broken, without jobs stopped by the user or the plan."""
        return exact_proportion(len(self.completed) - self.broken, sum(job.outcome not in STOPPED for job in self.jobs))

    def response(self, q: float) -> Tail | None:
        """Return the quantile of the time from due to done, in seconds."""
        return tail([j.done - j.due for j in self.completed], [j.done - j.due for j in self.cut_off], q)

    def service(self, q: float) -> Tail | None:
        """Return the quantile of the time from sent to done, in seconds, which hides coordinated omission."""
        cut_off = [j.done - j.sent for j in self.cut_off if j.sent < j.done]
        return tail([j.done - j.sent for j in self.completed], cut_off, q)

    @property
    def most_in_flight(self) -> int:
        """Most jobs that were sent and not done at one time."""
        return _most((job.sent, job.done) for job in self.sent)

    def backlog(self, instant: float) -> int:
        """Return the jobs that were due and not done, `instant` seconds after the start."""
        dues, ends = self._changes
        at = self.started + instant
        return int(np.searchsorted(dues, at, side="right") - np.searchsorted(ends, at, side="right"))

    @cached_property
    def _changes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sorted times of entering and leaving the backlog; a spike needs the backlog at every job."""
        dues = np.asarray([job.due for job in self.jobs], dtype=float)
        ends = np.asarray([job.done for job in self.jobs], dtype=float)
        return np.sort(dues), np.sort(np.maximum(dues, ends))

    def findings(self, limits: RateLimits) -> RateFindings:
        """Return what the case shows about its rate."""
        return judge(
            self.jobs,
            started=self.started,
            seconds=self.load.seconds,
            offered=self.offered,
            process=self.load.process,
            limits=limits,
            broken=self.broken,
        )


def open_cases(evidence: Evidence, *scenarios: str) -> tuple[OpenCase, ...]:
    """Return the open cases that began, in the order of the run; of all scenarios by default."""
    return tuple(
        found
        for scenario in evidence.run.scenarios
        for case in scenario.cases
        if (not scenarios or scenario.name in scenarios) and (found := open_case(evidence, scenario, case)) is not None
    )


def open_case(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> OpenCase | None:
    """Return one case; None when its model is not open, or it did not begin."""
    if case.arrivals is None or case.started is None:
        return None
    jobs = _ordered(evidence, scenario.name, case.name)
    # An unfinished case or a stopped run has no evidence about later arrivals.
    whole = scenario.state is RunState.COMPLETED
    return OpenCase(
        scenario=scenario.name,
        case=case.name,
        load=case.arrivals,
        started=case.started,
        offered=case.planned if whole else len(jobs),
        jobs=jobs,
        broken=evidence.broken_files(scenario.name, case.name),
    )


@once
def _ordered(evidence: Evidence, scenario: str, case: str) -> tuple[JobRecord, ...]:
    return tuple(sorted(evidence.case_jobs(scenario, case), key=lambda job: (job.due, job.index)))


def unsent_by_generator(job: JobRecord) -> bool:
    """Return True for a job that was never sent although no limit held it and the run was not stopped."""
    return job.sent == job.done and job.released is None and job.outcome is Outcome.TIMEOUT


def _most(spans: Iterable[tuple[float, float]]) -> int:
    changes = sorted(change for begin, end in spans for change in ((begin, 1), (end, -1)))
    level = most = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    return most
