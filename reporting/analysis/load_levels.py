"""Figures of each case of a scenario, as levels of load."""

from __future__ import annotations

from statistics import fmean

import msgspec

from reelbench.reporting.analysis.estimates import NOWHERE, request_rate, throughput, without_upper
from reelbench.reporting.analysis.open_cases import open_case
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, once
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.evidence.stretch import Basis
from reelbench.reporting.statistics import littles_law
from reelbench.reporting.statistics.intervals import Interval, Proportion, Summary, exact_proportion, summarize
from reelbench.reporting.statistics.littles_law import LittlesLaw


class Level(msgspec.Struct, frozen=True):
    """One case. Durations in seconds, throughput in completed jobs per second; None where not known."""

    scenario: str
    case: str
    concurrency: int
    success: Proportion | None
    times: Summary | None
    """Response times of the completed jobs, exact."""
    throughput: float | None
    """Exact: completed measured jobs per second of the steady part, or of the whole case."""
    requests: float | None
    """HTTP requests per second, exact."""
    queue_average: float | None
    """By PromQL, of the whole case."""
    queue_p95: Measurement | None
    """By PromQL, with its bucket."""
    generator_cpu: float | None
    littles_law: LittlesLaw | None
    """Of closed loops without a pace."""
    cut_off: int = 0
    """Jobs of an open case that did not finish; the times exclude them."""
    basis: Basis = Basis.WHOLE
    """The part of the case from which times, throughput and requests are taken."""
    throughput_interval: Interval = NOWHERE
    """Limits of the throughput; none for too few jobs."""
    whole_average: float | None = None
    """Mean response time of the completed jobs of the whole case, to compare with the time in the queue."""

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
        jobs = evidence.case_jobs(scenario.name, case.name)
        ended = sum(1 for job in jobs if job.outcome not in STOPPED)
        rate, requests = (of(evidence, scenario.name, case.name) for of in (throughput, request_rate))
        found.append(
            Level(
                scenario=scenario.name,
                case=case.name,
                concurrency=case.concurrency,
                success=exact_proportion(evidence.successes(scenario.name, case.name), ended),
                times=_times(evidence, scenario.name, case.name),
                throughput=rate.value if rate else None,
                throughput_interval=rate.interval if rate else NOWHERE,
                requests=requests.value if requests else None,
                queue_average=evidence.value(Role.QUEUE_TIME_AVG, scenario.name, case.name),
                queue_p95=evidence.measured(Role.QUEUE_TIME_P95, scenario.name, case.name),
                generator_cpu=case.generator_cpu,
                littles_law=littles_law.check([(job.due, job.done) for job in jobs], case.concurrency)
                if case.model == "closed" and case.pace is None
                else None,
                cut_off=len(arriving.cut_off) if (arriving := open_case(evidence, scenario, case)) else 0,
                basis=evidence.stretch(scenario.name, case.name).basis,
                whole_average=fmean(whole) if (whole := evidence.whole_times(scenario.name, case.name)) else None,
            )
        )
    return tuple(found)


def _times(evidence: Evidence, scenario: str, case: str) -> Summary | None:
    """Return the summary of the response times, without upper limits where start and drain are part of them."""
    found = summarize(evidence.response_times(scenario, case))
    if found is None or evidence.stretch(scenario, case).basis is not Basis.NO_STEADY_PART:
        return found
    p50, p95, p99 = (
        msgspec.structs.replace(tail, interval=without_upper(tail.interval))
        for tail in (found.p50, found.p95, found.p99)
    )
    return msgspec.structs.replace(
        found, average_interval=without_upper(found.average_interval), p50=p50, p95=p95, p99=p99
    )
