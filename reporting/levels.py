"""The figures of each case of a scenario, as levels of load."""

from __future__ import annotations

from dataclasses import dataclass

from reporting.arrivals import open_case
from reporting.evidence import Evidence
from reporting.records import STOPPED, case_seconds
from reporting.statistics import Proportion, Summary, littles_law_ratio, proportion, summarize


@dataclass(frozen=True, slots=True)
class Level:
    """One case. Durations in seconds, throughput in completed jobs per second; None where nothing is known."""

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
    queue_p95: float | None
    generator_cpu: float | None
    cut_off: int = 0
    """Jobs of an open case that were not finished; the times are without them."""

    @property
    def littles_law(self) -> float | None:
        """X * R / N."""
        if self.throughput is None or self.times is None or not self.concurrency:
            return None
        return littles_law_ratio(self.throughput, self.times.average, self.concurrency)


def levels(evidence: Evidence, *scenarios: str, model: str = "closed") -> tuple[Level, ...]:
    """The cases of a model that began, in the order of the run; of all performance scenarios when none is named."""
    found = []
    for scenario, case in evidence.cases("performance"):
        if case.model != model or (scenarios and scenario.name not in scenarios):
            continue
        times = evidence.response_times(scenario.name, case.name)
        ended = sum(1 for job in evidence.case_jobs(scenario.name, case.name) if job.outcome not in STOPPED)
        seconds = case_seconds(case)
        found.append(
            Level(
                scenario=scenario.name,
                case=case.name,
                concurrency=case.concurrency,
                success=proportion(len(times), ended),
                times=summarize(times),
                throughput=len(times) / seconds if seconds else None,
                requests=evidence.case_requests(scenario.name, case.name) / seconds if seconds else None,
                queue_average=evidence.value("queue_time_avg", scenario.name, case.name),
                queue_p95=evidence.value("queue_time_p95", scenario.name, case.name),
                generator_cpu=case.generator_cpu,
                cut_off=len(arriving.cut_off) if (arriving := open_case(evidence, scenario, case)) else 0,
            )
        )
    return tuple(found)
