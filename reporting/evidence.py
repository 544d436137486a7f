"""Everything that is known of a run, gathered once; reports, verdicts and checks read from it and nowhere else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from loadgen.record import CaseRecord, JobRecord, Outcome, RequestRecord, RunRecord, ScenarioRecord
from reporting.catalogue import Catalogue
from reporting.measurements import Measurement, Measurements
from reporting.stackfile import StackInfo
from reporting.traces import RootKey

Place = tuple[str, str]
"""Scenario and case."""


@dataclass(frozen=True)
class Evidence:
    """The records of a run and what telemetry said about it."""

    catalogue: Catalogue
    run: RunRecord
    jobs: tuple[JobRecord, ...]
    requests: tuple[RequestRecord, ...]
    stack: StackInfo | None
    measurements: Measurements
    root_spans: Counter[RootKey] | None
    """None when no trace was kept."""

    @cached_property
    def _measured(self) -> dict[tuple[str, str, str, str], Measurement]:
        return {(m.sli, m.scenario, m.case, m.member): m for m in self.measurements.measurements}

    @cached_property
    def _jobs(self) -> dict[Place, list[JobRecord]]:
        jobs: dict[Place, list[JobRecord]] = {}
        for job in self.jobs:
            if not job.warmup:
                jobs.setdefault((job.scenario, job.case), []).append(job)
        return jobs

    @cached_property
    def _requests(self) -> dict[tuple[str, str], list[RequestRecord]]:
        requests: dict[tuple[str, str], list[RequestRecord]] = {}
        for request in self.requests:
            if not request.warmup:
                requests.setdefault((request.scenario, request.operation), []).append(request)
        return requests

    def scenarios(self, dimension: str) -> list[ScenarioRecord]:
        """Scenarios of a dimension that began."""
        return [s for s in self.run.scenarios if s.dimension == dimension and began(s)]

    def cases(self, dimension: str) -> list[tuple[ScenarioRecord, CaseRecord]]:
        """Cases of a dimension that began, in the order of the run."""
        return [(s, c) for s in self.scenarios(dimension) for c in s.cases if c.started is not None]

    def scenario(self, name: str) -> ScenarioRecord | None:
        """A scenario that began."""
        return next((s for s in self.run.scenarios if s.name == name and began(s)), None)

    def measured(self, sli: str, scenario: str, case: str = "", member: str = "") -> Measurement | None:
        """The measurement of an indicator; None when it was not asked for."""
        return self._measured.get((sli, scenario, case, member))

    def value(self, sli: str, scenario: str, case: str = "", member: str = "") -> float | None:
        """The value of an indicator; None when there is no data."""
        measurement = self.measured(sli, scenario, case, member)
        return measurement.value if measurement else None

    def case_jobs(self, scenario: str, case: str) -> list[JobRecord]:
        """Measured jobs (no warm-up) of a case."""
        return self._jobs.get((scenario, case), [])

    def scenario_jobs(self, scenario: str) -> list[JobRecord]:
        """Measured jobs (no warm-up) of a scenario."""
        return [job for (name, _), jobs in self._jobs.items() if name == scenario for job in jobs]

    def response_times(self, scenario: str, case: str) -> list[float]:
        """Response times of the completed measured jobs of a case, in seconds."""
        return [job.done - job.due for job in self.case_jobs(scenario, case) if job.outcome is Outcome.COMPLETED]

    def case_requests(self, scenario: str, case: str) -> int:
        """HTTP requests of the measured jobs of a case."""
        return sum(1 for r in self.requests if not r.warmup and (r.scenario, r.case) == (scenario, case))

    def durations(self, scenario: str, operation: str) -> list[float]:
        """Durations of the measured requests of an operation, in seconds."""
        return [request.duration for request in self._requests.get((scenario, operation), [])]


def began(scenario: ScenarioRecord) -> bool:
    """True when a case began its measured part; a run can be interrupted within the warm-up."""
    return any(case.started is not None for case in scenario.cases)


def case_seconds(case: CaseRecord) -> float | None:
    """Recorded length of a case; None when it did not end."""
    return case.ended - case.started if case.started is not None and case.ended is not None else None


def place_name(scenario: str, case: str = "", member: str = "") -> str:
    """How a place is written in reports."""
    return " / ".join(part for part in (scenario, case, member) if part) or "run"
