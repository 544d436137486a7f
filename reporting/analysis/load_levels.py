"""Figures of each case of a scenario, as levels of load."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.reporting.analysis.open_cases import open_case
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, case_seconds, once
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics import littles_law
from reelbench.reporting.statistics.intervals import Proportion, Summary, exact_proportion, summarize
from reelbench.reporting.statistics.littles_law import LittlesLaw


@dataclass(frozen=True, slots=True)
class Level:
    """One case. Durations in seconds, throughput in completed jobs per second; None where not known."""

    scenario: str
    case: str
    concurrency: int
    success: Proportion | None
    times: Summary | None
    """Response times of the completed jobs, exact."""
    throughput: float | None
    """Exact: completed measured jobs over the recorded length of the case."""
    requests: float | None
    """HTTP requests per second, exact."""
    queue_average: float | None
    queue_p95: Measurement | None
    """By PromQL, with its bucket."""
    generator_cpu: float | None
    littles_law: LittlesLaw | None
    """Of closed loops without a pace."""
    cut_off: int = 0
    """Jobs of an open case that did not finish; the times exclude them."""

    @property
    def failed(self) -> int:
        """Jobs that ended without a video, which the times exclude."""
        return self.success.n - self.success.k if self.success else 0


@once
def levels(evidence: Evidence, *scenarios: str, model: str = "closed") -> tuple[Level, ...]:
    """Return the cases of a model that began, in the order of the run; of all performance scenarios by default."""
    found = []
    for scenario, case in evidence.cases("performance"):
        if case.model != model or (scenarios and scenario.name not in scenarios):
            continue
        times = evidence.response_times(scenario.name, case.name)
        jobs = evidence.case_jobs(scenario.name, case.name)
        ended = sum(1 for job in jobs if job.outcome not in STOPPED)
        seconds = case_seconds(case)
        found.append(
            Level(
                scenario=scenario.name,
                case=case.name,
                concurrency=case.concurrency,
                success=exact_proportion(sum(map(evidence.succeeded, jobs)), ended),
                times=summarize(times),
                throughput=len(times) / seconds if seconds else None,
                requests=evidence.case_requests(scenario.name, case.name) / seconds if seconds else None,
                queue_average=evidence.value(Role.QUEUE_TIME_AVG, scenario.name, case.name),
                queue_p95=evidence.measured(Role.QUEUE_TIME_P95, scenario.name, case.name),
                generator_cpu=case.generator_cpu,
                littles_law=littles_law.check([(job.due, job.done) for job in jobs], case.concurrency)
                if case.model == "closed" and case.pace is None
                else None,
                cut_off=len(arriving.cut_off) if (arriving := open_case(evidence, scenario, case)) else 0,
            )
        )
    return tuple(found)
