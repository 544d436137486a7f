"""Indicators that are functions of the client's records instead of queries.

The appendix of a report explains a function by the first line of its docstring.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.capacity import knee
from reelbench.reporting.analysis.capacity_limits import METHOD as RATES
from reelbench.reporting.analysis.capacity_limits import rate_limits
from reelbench.reporting.analysis.cpu_usage import utilisation, whole_utilisation
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.leak import leak
from reelbench.reporting.analysis.open_breaker_calls import open_breaker_calls
from reelbench.reporting.analysis.outages import outages, recovery
from reelbench.reporting.analysis.process_usage import UNDER_TEST, memory
from reelbench.reporting.analysis.record_value import MAXIMUM, MAXIMUM_OPEN, SLOPE, RecordValue
from reelbench.reporting.analysis.restoration import mean_time, restorations
from reelbench.reporting.analysis.server_functions import (
    server_cpu_per_video,
    server_energy_per_video,
    server_gpu_errors,
    server_gpu_utilisation,
    server_memory_growth,
    server_memory_leaked,
)
from reelbench.reporting.analysis.spike import spikes
from reelbench.reporting.catalogue.sli import RecordFunction, Sli
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.evidence.measurements import RECORDS, Measurement, Measurements
from reelbench.reporting.evidence.prometheus import NoData
from reelbench.reporting.evidence.queries import places, rounded
from reelbench.reporting.statistics.block_estimate import BLOCKS_METHOD
from reelbench.reporting.statistics.intervals import STUDENT, Interval, mean_interval, non_negative

TOO_FEW = "too few samples of memory within the case"
NO_BREAKER = NoData("the service ran without its circuit breaker")
UNREAD = NoData("the service's breakers could not be read")


def calls_while_open(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Calls that arrived at a provider within an open interval of its breaker and were sent after the opening."""
    if evidence.switched_off("breaker"):
        return NO_BREAKER
    if not evidence.breakers_read(scenario):
        return UNREAD
    if not any(call.scenario == scenario for call in evidence.calls):
        return NoData("no calls were counted at a provider")
    found = open_breaker_calls(evidence, scenario)
    if not found.intervals:
        return NoData("no breaker opened, so nothing could pass one")
    return RecordValue(len(found.passed), found.counted)


def breaker_opened(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Share of the outages that the provider's breaker opened in."""
    if evidence.switched_off("breaker"):
        return NO_BREAKER
    if not evidence.breakers_read(scenario):
        return UNREAD
    found = outages(evidence, scenario)
    if not found:
        return NoData("no outage was injected")
    return RecordValue(sum(1 for outage in found if outage.opened is not None) / len(found), len(found))


def mean_time_to_recovery(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Mean of breaker closed - fault on, over the outages that opened the breaker and recovered within the case."""
    if evidence.switched_off("breaker"):
        return NO_BREAKER
    if not evidence.breakers_read(scenario):
        return UNREAD
    found = recovery(outages(evidence, scenario))
    return (
        RecordValue(found.mean, found.n, non_negative(found.interval), STUDENT)
        if found
        else NoData("no outage opened the breaker and recovered within the case")
    )


def mean_time_to_restoration(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Mean of service restored - fault asked to begin, over the faults from outside that clients noticed."""
    found = restorations(evidence, scenario)
    if not found:
        return NoData("no fault from outside began")
    times = mean_time(found)
    if times is not None:
        return RecordValue(times.mean, times.n, non_negative(times.interval), STUDENT)
    noticed = any(one.noticed for one in found)
    return NoData("the service was not restored within the case" if noticed else "no fault interrupted the service")


def integrity_share(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Jobs whose files match the manifest, where there is one, and decode, of all that were checked (with warm-up)."""
    found = losses(evidence, scenario)
    if not found.checked:
        return NoData("no job's files were checked")
    return RecordValue(1 - found.damaged / found.checked, found.checked)


def jobs_lost(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Accepted jobs that the list of videos did not hold after the scenario, or held without an end (with warm-up)."""
    found = losses(evidence, scenario)
    if found.unlisted:
        return NoData("unknown, as the server has no complete list of jobs")
    if found.lost is None:
        return NoData("the list of videos was not read")
    if not found.expected:
        return NoData("no job was accepted and kept")
    return RecordValue(found.lost, found.expected)


def memory_per_job(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Peak of memory of service and media workers in the first case less the last sample before it; n is jobs."""
    case = _first_case(evidence, scenario)
    found = memory(evidence, scenario, case, *UNDER_TEST) if case else None
    if case is None or found is None or found.growth is None:
        return NoData(_unread("memory", evidence.scenario(scenario)))
    n = len(evidence.case_jobs(scenario, case.name))
    return RecordValue(found.growth, n, Interval(found.growth, None), MAXIMUM, MAXIMUM_OPEN)


def cpu_utilisation(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """CPU time of service and media workers in all cases by their length and the machine's cores; n is blocks."""
    found = evidence.scenario(scenario)
    cases = [case for case in found.cases if case.started is not None] if found else []
    levels = [utilisation(evidence, scenario, case) for case in cases]
    known = [level for level in levels if level is not None]
    if not levels or len(known) < len(levels):
        return NoData(_unread("CPU time", found))
    whole, limits = whole_utilisation(known)
    return RecordValue(whole.value, whole.n, non_negative(limits), BLOCKS_METHOD if limits.upper is not None else "")


def memory_growth(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Memory of service and media workers at the end (median of 3 values) over the beginning, less 1; n is values."""
    found = leak(evidence, scenario)
    return RecordValue(found.growth, found.trend.n, found.growth_interval, SLOPE) if found else NoData(TOO_FEW)


def memory_leaked(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Lower limit of the slope of memory by job over 1,000 jobs; 0 without a significant trend; n is values."""
    found = leak(evidence, scenario)
    return RecordValue(found.projected, found.trend.n, found.projected_interval, SLOPE) if found else NoData(TOO_FEW)


def sustained_rate(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Highest arrival rate at which success, P95, ended jobs and backlog all hold, 0 if none does; n is its jobs."""
    found = knee(evidence, scenario)
    if found is None:
        return NoData("no case with arrivals began")
    held = found.held or found.steps[0]
    rate = held.case.load.rate if found.held else 0.0
    return RecordValue(rate, len(held.case.jobs), rate_limits(found), RATES)


def spike_recovery(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Mean of the seconds from the end of a burst until response times were back in the steady band; n is bursts."""
    found = spikes(evidence, scenario)
    if not found:
        return NoData("no burst with at least ten jobs before it and after it")
    times = [spike.recovery for spike in found if spike.recovery is not None]
    if len(times) < len(found):
        return NoData("response times were not back in the steady band when jobs stopped arriving")
    return RecordValue(math.fsum(times) / len(times), len(times), non_negative(mean_interval(times)), STUDENT)


def _unread(what: str, scenario: ScenarioRecord | None) -> str:
    rest = scenario.rest if scenario else 0.0
    return f"no samples of {what} around a case; set `rest` (now {rest:g} s) above the scrape interval"


def _first_case(evidence: Evidence, scenario: str) -> CaseRecord | None:
    found = evidence.scenario(scenario)
    return next((case for case in found.cases if case.started is not None), None) if found else None


RecordSli = Callable[[Evidence, str], RecordValue | NoData]

FUNCTIONS: dict[RecordFunction, RecordSli] = {
    RecordFunction(function.__name__): function
    for function in (
        calls_while_open,
        breaker_opened,
        mean_time_to_recovery,
        mean_time_to_restoration,
        integrity_share,
        jobs_lost,
        memory_per_job,
        cpu_utilisation,
        memory_growth,
        memory_leaked,
        sustained_rate,
        spike_recovery,
        server_memory_growth,
        server_memory_leaked,
        server_cpu_per_video,
        server_gpu_utilisation,
        server_gpu_errors,
        server_energy_per_video,
    )
}
"""The code of every function that the catalogue may name."""


def explain(function: RecordFunction) -> str:
    """Return what a function computes, in one line."""
    return (FUNCTIONS[function].__doc__ or "").split("\n", 1)[0]


def compute(evidence: Evidence) -> Measurements:
    """Return the measurements with every indicator of the records computed anew, in the order of the catalogue."""
    known, slis = evidence.measurements, evidence.catalogue.slis
    kept = [m for m in known.measurements if m.source != RECORDS]
    found = [
        _computed(sli, sli.function, scenario, evidence)
        for sli in slis
        if sli.function is not None
        for scenario, _ in places(sli, evidence.run)
        if scenario is not None
    ]
    order = {sli.id: number for number, sli in enumerate(slis)}
    return msgspec.structs.replace(known, measurements=tuple(sorted((*kept, *found), key=lambda m: order[m.sli])))


def _computed(sli: Sli, function: RecordFunction, scenario: ScenarioRecord, evidence: Evidence) -> Measurement:
    answer = FUNCTIONS[function](evidence, scenario.name)
    return Measurement(
        sli=sli.id,
        scenario=scenario.name,
        case="",
        member="",
        source=RECORDS,
        query=f"{function}({scenario.name})",
        instant=evidence.measurements.instant,
        value=rounded(answer.value) if isinstance(answer, RecordValue) else None,
        no_data=answer.reason if isinstance(answer, NoData) else None,
        bound=None,
        n=answer.n if isinstance(answer, RecordValue) else None,
        interval=_limits(answer) if isinstance(answer, RecordValue) else None,
        open_end=answer.open_end if isinstance(answer, RecordValue) else "",
    )


def _limits(value: RecordValue) -> Limits | None:
    """Return the interval with the digits that are kept."""
    if value.interval is None:
        return None
    lower, upper = (None if limit is None else rounded(limit) for limit in (value.interval.lower, value.interval.upper))
    return Limits(lower=lower, upper=upper, method=value.method)
