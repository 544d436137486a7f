"""Everything that is known of a run: reports, verdicts and checks read from it alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Concatenate, ParamSpec, TypeVar, cast

import msgspec

from reelbench.loadgen.record.conditions import ConditionsRecord
from reelbench.loadgen.record.jobs import CallRecord, JobRecord, Outcome
from reelbench.loadgen.record.run import CaseRecord, FaultRecord, RunRecord, ScenarioRecord
from reelbench.loadgen.record.stack import StackRecord
from reelbench.loadgen.record.videos import VideoRecord
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue, Objective, Role
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.measurements import Measurement, Measurements, SampleSeries
from reelbench.reporting.evidence.requests import Requests
from reelbench.reporting.evidence.server_evidence import ServerEvidence
from reelbench.reporting.evidence.stretch import Basis, Stretch
from reelbench.reporting.evidence.traces import TraceEvidence
from reelbench.reporting.evidence.usage_samples import UsageSamples
from reelbench.reporting.statistics.steady_part import NoSteadyPart, steady_part

P = ParamSpec("P")
R = TypeVar("R")

Place = tuple[str, str]
"""Scenario and case."""

STOPPED = frozenset({Outcome.ABORTED, Outcome.CANCELLED})
"""Ended by the user or the plan: neither success nor failure."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The records of a run and what telemetry said about it, with the look-ups that checks and reports share."""

    run: RunRecord
    jobs: tuple[JobRecord, ...]
    requests: Requests = field(default_factory=Requests)
    calls: tuple[CallRecord, ...] = ()
    """Calls that reached a provider, as the provider counted them."""
    videos: tuple[VideoRecord, ...] = ()
    """Downloaded files that were opened."""
    stack: StackRecord | None = None
    conditions: ConditionsRecord | None = None
    """What could have disturbed the run; None in runs of versions that did not record it."""
    catalogue: Catalogue
    measurements: Measurements
    """What Prometheus answered, and the indicators of the records."""
    prices: Prices
    usage: UsageSamples = field(default_factory=UsageSamples)
    """Readings of the processes of the run on their machine; empty where they were not visible."""
    server: ServerEvidence | None = None
    """What the metrics of a server that is not ours said; None when it has none."""
    doubts: tuple[str, ...] = ()
    """Files of the run that are damaged or altered, one sentence each: the numbers cannot be trusted."""
    notes: tuple[str, ...] = ()
    """Files of the run that are missing, one sentence each; no verdict rests on them."""
    kept: str = ""
    """Why the kept measurements were used although Prometheus was asked; empty where they were not."""
    traces: TraceEvidence = field(default_factory=TraceEvidence)
    """Counts of root spans, and the spans of those jobs that a report looks at."""

    @cached_property
    def _jobs(self) -> dict[Place, list[JobRecord]]:
        jobs: dict[Place, list[JobRecord]] = {}
        for job in self.jobs:
            if not job.warmup:
                jobs.setdefault((job.scenario, job.case), []).append(job)
        return jobs

    @cached_property
    def _response_times(self) -> dict[Place, list[float]]:
        return {
            (scenario, case): sorted(job.done - job.due for job in self.stretch(scenario, case).completed)
            for scenario, case in self._jobs
        }

    @cached_property
    def _stretches(self) -> dict[Place, Stretch]:
        return {(s.name, c.name): self._stretch(s, c) for s in self.run.scenarios for c in s.cases}

    def _stretch(self, scenario: ScenarioRecord, case: CaseRecord) -> Stretch:
        jobs = tuple(self.case_jobs(scenario.name, case.name))
        whole = Stretch(Basis.WHOLE, case.started, case.ended, jobs)
        users = case.concurrency
        steady = (
            scenario.dimension == Dimension.PERFORMANCE and case.model == "closed" and case.pace is None and users > 1
        )
        place = (scenario.name, case.name)
        faulty = any((fault.scenario, fault.case) == place for fault in self.run.faults)
        if not steady or faulty or any(job.cancel_sent is not None for job in jobs):
            return whole
        part = steady_part([(job.due, job.done) for job in jobs], users)
        if isinstance(part, NoSteadyPart):
            return msgspec.structs.replace(whole, basis=Basis.NO_STEADY_PART, missing=part)
        return Stretch(Basis.STEADY, part.started, part.ended, tuple(job for job in jobs if part.holds(job.done)))

    @cached_property
    def _once(self) -> dict[tuple[object, ...], object]:
        """Results of the functions that are marked with `once`."""
        return {}

    def scenarios(self, dimension: str) -> list[ScenarioRecord]:
        """Return the scenarios of a dimension that began."""
        return [s for s in self.run.scenarios if s.dimension == dimension and began(s)]

    def cases(self, dimension: str) -> list[tuple[ScenarioRecord, CaseRecord]]:
        """Return the cases of a dimension that began, in the order of the run."""
        return [(s, c) for s in self.scenarios(dimension) for c in s.cases if c.started is not None]

    def scenario(self, name: str) -> ScenarioRecord | None:
        """Return a scenario that began; None otherwise."""
        return self._begun.get(name)

    @cached_property
    def _begun(self) -> dict[str, ScenarioRecord]:
        return {s.name: s for s in reversed(self.run.scenarios) if began(s)}

    def case_jobs(self, scenario: str, case: str) -> list[JobRecord]:
        """Return the measured jobs (no warm-up) of a case."""
        return self._jobs.get((scenario, case), [])

    def scenario_jobs(self, scenario: str) -> list[JobRecord]:
        """Return the measured jobs (no warm-up) of a scenario."""
        return [job for (name, _), jobs in self._jobs.items() if name == scenario for job in jobs]

    def stretch(self, scenario: str, case: str) -> Stretch:
        """Return the part of a case from which its rates and its response times are taken."""
        return self._stretches.get((scenario, case)) or Stretch(Basis.WHOLE, None, None, ())

    def response_times(self, scenario: str, case: str) -> list[float]:
        """Return the response times of the completed jobs of a case's steady part, or of the whole case, in seconds.

        They are sorted, shortest first.
        """
        return self._response_times.get((scenario, case), [])

    def whole_times(self, scenario: str, case: str) -> list[float]:
        """Return the response times of all completed measured jobs of a case, in seconds."""
        jobs = self.case_jobs(scenario, case)
        return [job.done - job.due for job in jobs if job.outcome is Outcome.COMPLETED]

    def scenario_times(self, scenario: str) -> list[float]:
        """Return the response times of the completed measured jobs of a scenario, in seconds."""
        return [time for (name, _), times in self._response_times.items() if name == scenario for time in times]

    @cached_property
    def _videos(self) -> dict[tuple[str, str, int], VideoRecord]:
        return {(video.scenario, video.case, video.index): video for video in self.videos}

    def video(self, job: JobRecord) -> VideoRecord | None:
        """Return what the file of a job holds; None when it was not opened."""
        return self._videos.get((job.scenario, job.case, job.index))

    @cached_property
    def _unplayable(self) -> frozenset[tuple[str, str, int]]:
        return frozenset(place for place, video in self._videos.items() if not video.playable)

    def broken(self, job: JobRecord) -> bool:
        """Return True for a completed job whose file does not decode to its end."""
        return job.outcome is Outcome.COMPLETED and (job.scenario, job.case, job.index) in self._unplayable

    def succeeded(self, job: JobRecord) -> bool:
        """Return True for a completed job whose file is not known to be broken."""
        return job.outcome is Outcome.COMPLETED and (job.scenario, job.case, job.index) not in self._unplayable

    @cached_property
    def _successes(self) -> dict[Place, int]:
        return {place: sum(map(self.succeeded, jobs)) for place, jobs in self._jobs.items()}

    def successes(self, scenario: str, case: str) -> int:
        """Return the number of measured jobs of a case that succeeded."""
        return self._successes.get((scenario, case), 0)

    @cached_property
    def _broken(self) -> dict[Place, int]:
        return {place: sum(map(self.broken, jobs)) for place, jobs in self._jobs.items()} if self._unplayable else {}

    def broken_files(self, scenario: str, case: str) -> int:
        """Return the number of completed measured jobs of a case whose file does not decode to its end."""
        return self._broken.get((scenario, case), 0)

    def case_requests(self, scenario: str, case: str) -> int:
        """Return the number of HTTP requests of the measured jobs of a case."""
        return self.requests.count(scenario, case)

    def durations(self, scenario: str, operation: str) -> list[float]:
        """Return the durations of the measured requests of an operation that succeeded, in seconds."""
        return self.requests.durations(scenario, operation)

    def faults(self, *scenarios: str) -> list[FaultRecord]:
        """Return the faults of scenarios, in order of time."""
        return sorted((f for f in self.run.faults if f.scenario in scenarios), key=lambda f: f.started)

    def beginning(self, scenario: str, case: str) -> float | None:
        """Return the Unix time at which a case began; None when it did not."""
        found = self.scenario(scenario)
        return next((c.started for c in found.cases if c.name == case), None) if found else None

    def breakers_read(self, scenario: str) -> bool:
        """Return False when the state changes of the breakers in a scenario could not be read."""
        return all(case.breakers_read is not False for case in self._began(scenario))

    def calls_read(self, scenario: str) -> bool:
        """Return True when the providers' call log of a scenario exists and is complete as far as is known."""
        cases = self._began(scenario)
        some = any(call.scenario == scenario for call in self.calls)
        return all(case.calls_read is not False and (some or case.calls_read) for case in cases)

    def _began(self, scenario: str) -> list[CaseRecord]:
        found = self.scenario(scenario)
        return [case for case in found.cases if case.started is not None] if found else []

    def switched_off(self, switch: str) -> bool:
        """Return True when the service reports that a feature is off; without a report it counts as on."""
        return (self.run.switches or {}).get(switch) is False

    @property
    def foreign(self) -> bool:
        """Return whether the server under test is of another maker than this project."""
        if self.run.server is not None:
            return not self.run.server.ours
        return self.stack is not None and bool(self.stack.server_metrics) and not self.stack.has_service

    def judged_by(self, objective: Objective) -> bool:
        """Return whether an objective of the catalogue judges the server of this run."""
        return not (objective.ours and self.foreign)

    def objective(self, role: Role) -> Objective | None:
        """Return the objective by which the indicator of a role is judged; None without one."""
        sli = self.catalogue.of_role(role)
        return sli.objective if sli and sli.objective and self.judged_by(sli.objective) else None

    @property
    def series(self) -> tuple[SampleSeries, ...]:
        """Raw samples of processes through the cases."""
        return self.measurements.series

    @cached_property
    def _measured(self) -> dict[tuple[str, str, str, str], Measurement]:
        return {(m.sli, m.scenario, m.case, m.member): m for m in self.measurements.measurements}

    def measured(self, sli: Role | str, scenario: str, case: str = "", member: str = "") -> Measurement | None:
        """Return the measurement of an indicator, by role or id; None when it was not measured there."""
        if isinstance(sli, Role):
            found = self.catalogue.of_role(sli)
            return self._measured.get((found.id, scenario, case, member)) if found else None
        return self._measured.get((sli, scenario, case, member))

    def value(self, sli: Role | str, scenario: str, case: str = "", member: str = "") -> float | None:
        """Return the value of an indicator, by role or id; None when there is no data."""
        measurement = self.measured(sli, scenario, case, member)
        return measurement.value if measurement else None


def once(function: Callable[Concatenate[Evidence, P], R]) -> Callable[Concatenate[Evidence, P], R]:
    """Compute a result once for an evidence: many sections ask for the same figures of a large run.

    The arguments must be hashable, and callers must not change the result.
    """

    @functools.wraps(function)
    def cached(evidence: Evidence, *args: P.args, **more: P.kwargs) -> R:
        key = (function, args, tuple(sorted(more.items())))
        known = evidence._once  # noqa: SLF001 - the memo of this module
        if key not in known:
            known[key] = function(evidence, *args, **more)
        return cast("R", known[key])

    return cast("Callable[Concatenate[Evidence, P], R]", cached)


def began(scenario: ScenarioRecord) -> bool:
    """Return True when a case began its measured part; a run can be interrupted during warm-up."""
    return any(case.started is not None for case in scenario.cases)


def case_seconds(case: CaseRecord) -> float | None:
    """Return the recorded length of a case in seconds; None when it did not end."""
    return case.ended - case.started if case.started is not None and case.ended is not None else None


def place_name(scenario: str, case: str = "", member: str = "") -> str:
    """Return a place as written in reports."""
    return " / ".join(part for part in (scenario, case, member) if part) or "run"
