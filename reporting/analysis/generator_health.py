"""Checks that the load generator was not the bottleneck."""

from __future__ import annotations

import msgspec
import numpy as np

from reelbench.loadgen.record.rate_rule import MAX_LATENESS, MAX_LATENESS_SHARE, own_send_delay
from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.open_cases import OpenCase, open_case, unsent_by_generator
from reelbench.reporting.evidence.evidence import Evidence, once, place_name
from reelbench.reporting.statistics.intervals import percentile

MAX_GENERATOR_CPU = 0.8
"""Cores. The generator is one event loop: above 80 % of a core, requests queue inside it (M/M/1: four waiting)."""
MAX_STOOD_STILL = 0.05
"""Share of a case in which the generator may stand still: the throughput of a closed loop is too low by this share."""
MIN_SENT = 0.99
"""Share of the due jobs of an open case that the generator must send, or be ready to send."""
BOTTLENECK, STOOD_STILL = "the load generator was the bottleneck", "the load generator stood still"


class GeneratorHealth(msgspec.Struct, frozen=True):
    """Figures of the generator itself in one case."""

    scenario: str
    case: str
    cpu: float | None
    """Cores; None when it was not recorded."""
    send_delay_p99: float | None
    """Seconds, exact; None without jobs."""
    send_delay_limit: float
    problems: tuple[str, ...]
    """Why the case is invalid; empty when it is valid."""
    reason: str = ""
    """The first problem in short, for the verdicts of the case; empty when it is valid."""


@once
def check(evidence: Evidence, dimension: str) -> tuple[GeneratorHealth, ...]:
    """Judge the generator in every case of a dimension that began."""
    return tuple(_case(evidence, scenario, case) for scenario, case in evidence.cases(dimension))


def _case(evidence: Evidence, found: ScenarioRecord, case: CaseRecord) -> GeneratorHealth:
    scenario = found.name
    jobs = evidence.case_jobs(scenario, case.name)
    times = evidence.response_times(scenario, case.name)
    median = float(np.quantile(times, 0.5, method="inverted_cdf")) if times else 0.0
    limit = max(MAX_LATENESS, MAX_LATENESS_SHARE * median)
    late = percentile(sorted(own_send_delay(j) for j in jobs), 0.99) if jobs else None
    send_delay = late.value if late else None
    place = place_name(scenario, case.name)
    problems = _standstill(case, place)
    reason = STOOD_STILL if problems else BOTTLENECK
    if case.generator_cpu is not None and case.generator_cpu > MAX_GENERATOR_CPU:
        problems.append(
            f"{place}: the load generator used {case.generator_cpu:.2f} of a core, more than {MAX_GENERATOR_CPU:g}"
        )
    # P99 of fewer than 100 jobs is the latest one, so one hiccup of the machine must not invalidate the case.
    lower_limit = late.interval.lower if late is not None else None
    if send_delay is not None and lower_limit is not None and lower_limit > limit:
        problems.append(
            f"{place}: jobs were sent up to {send_delay * 1000:.0f} ms late (P99), more than {limit * 1000:.0f} ms"
        )
    arriving = open_case(evidence, found, case)
    if arriving is not None:
        problems += _open(arriving, case, limit, place)
    return GeneratorHealth(
        scenario, case.name, case.generator_cpu, send_delay, limit, tuple(problems), reason if problems else ""
    )


def _standstill(case: CaseRecord, place: str) -> list[str]:
    """Return the problem of a generator that stood still; a service that stands still causes none."""
    still = case.stood_still
    if not still or case.started is None or case.ended is None:
        return []
    share = min(1.0, still / max(case.ended - case.started, still))
    if share <= MAX_STOOD_STILL:
        return []
    why = "the process was stopped, or the machine slept"
    how_long = f"for {still:.1f} s, {share * 100:.0f} % of the case ({why}), more than {MAX_STOOD_STILL * 100:g} %"
    return [f"{place}: {STOOD_STILL} {how_long}"]


def _open(arriving: OpenCase, case: CaseRecord, limit: float, place: str) -> list[str]:
    """Return the problems of the generator in an open case; a slow service causes none of them."""
    problems = []
    lower_limit = case.loop_lag_p99_lower if case.loop_lag_p99_lower is not None else case.loop_lag_p99
    if case.loop_lag_p99 is not None and lower_limit is not None and lower_limit > limit:
        problems.append(
            f"{place}: the load generator's event loop lagged by up to {case.loop_lag_p99 * 1000:.0f} ms (P99), more "
            f"than {limit * 1000:.0f} ms"
        )
    sent = arriving.offered - sum(unsent_by_generator(job) for job in arriving.jobs)
    if arriving.offered and sent < MIN_SENT * arriving.offered:
        problems.append(
            f"{place}: the load generator sent {sent:,} of the {arriving.offered:,} jobs that were due, less than "
            f"{MIN_SENT * 100:g} %"
        )
    return problems
