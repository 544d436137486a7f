"""Was the load generator able to measure at all? A generator that is the bottleneck measures itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadgen.record import CaseRecord
from reporting.evidence import Evidence
from reporting.records import place_name

MAX_GENERATOR_CPU = 0.8
"""Cores. The generator is one event loop: above 80 % of a core, requests queue inside it (M/M/1: four waiting)."""
MAX_LATENESS = 0.05
"""Seconds. Below this a late start cannot be told from the jitter of a busy laptop."""
MAX_LATENESS_SHARE = 0.1
"""Of the median response time: lateness is a part of it, and a tenth is the error we accept."""


@dataclass(frozen=True, slots=True)
class Health:
    """The generator's own figures in one case."""

    scenario: str
    case: str
    cpu: float | None
    """Cores; None when it was not recorded."""
    lateness_p99: float | None
    """Seconds, exact; None without jobs."""
    lateness_limit: float
    problems: tuple[str, ...]
    """Why the case is invalid; empty when it is valid."""


def check(evidence: Evidence, dimension: str) -> tuple[Health, ...]:
    """Judge the generator in every case of a dimension that began."""
    return tuple(_case(evidence, scenario.name, case) for scenario, case in evidence.cases(dimension))


def _case(evidence: Evidence, scenario: str, case: CaseRecord) -> Health:
    jobs = evidence.case_jobs(scenario, case.name)
    times = evidence.response_times(scenario, case.name)
    median = float(np.quantile(times, 0.5, method="inverted_cdf")) if times else 0.0
    limit = max(MAX_LATENESS, MAX_LATENESS_SHARE * median)
    lateness = float(np.quantile([j.sent - j.due for j in jobs], 0.99, method="inverted_cdf")) if jobs else None
    place = place_name(scenario, case.name)
    problems = []
    if case.generator_cpu is not None and case.generator_cpu > MAX_GENERATOR_CPU:
        problems.append(
            f"{place}: the load generator used {case.generator_cpu:.2f} of a core, more than {MAX_GENERATOR_CPU:g}"
        )
    if lateness is not None and lateness > limit:
        problems.append(
            f"{place}: jobs were sent up to {lateness * 1000:.0f} ms late (P99), more than {limit * 1000:.0f} ms"
        )
    return Health(scenario, case.name, case.generator_cpu, lateness, limit, tuple(problems))
