"""The number that an indicator has in a place, and what its sample says of it: interval, sample size, what is left out.

Reports, verdicts and `results.json` take the number from here, so it is the same everywhere. Where the client's records
hold the samples, the number is exact; what PromQL answers from buckets is an estimate of it.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.open_cases import open_case
from reelbench.reporting.analysis.standstills import standstill
from reelbench.reporting.catalogue.sli import Kind, Role, Samples, Sli
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, once
from reelbench.reporting.evidence.measurements import RECORDS, Measurement
from reelbench.reporting.evidence.stretch import Basis, Stretch
from reelbench.reporting.statistics.batch_means import rate_interval
from reelbench.reporting.statistics.censoring import Tail, tail
from reelbench.reporting.statistics.intervals import (
    EXACT,
    ORDER,
    STUDENT,
    Interval,
    exact_proportion,
    mean_interval,
    non_negative,
)

BATCHES = "batch means"
READ = "read in full"
"""Of a count or a gauge that is no sample."""
NOWHERE = Interval(None, None)
LAST_BUCKET = "above the last bucket: only a lower limit is known"


class Estimate(msgspec.Struct, frozen=True):
    """A number with what is known of its error."""

    value: float | None
    """None: there is no data, for the reason in `remark`."""
    n: int | None
    interval: Interval = NOWHERE
    method: str = ""
    """How the interval was computed; empty where there is none."""
    open_end: str = ""
    """Why no sample can give both limits; empty where a larger one can."""
    exact: str = ""
    """Why the value has no error by chance and therefore no interval; empty for a sample."""
    at_least: bool = False
    """True when only a lower limit of the value is known."""
    remark: str = ""
    """What is left out, or why there is no data; empty when nothing is."""
    source: Literal["prometheus", "records"] = RECORDS
    query: str = ""
    """PromQL, or the computation on the records."""


def estimate(evidence: Evidence, sli: Sli, m: Measurement) -> Estimate:
    """Return the number of an indicator in the place of a measurement."""
    if m.value is None:
        why = _without_success(evidence, sli, m) or m.no_data or ""
        return Estimate(None, m.n, remark=why, source=m.source, query=m.query)
    if sli.samples is not None:
        found = sampled(evidence, sli, m.scenario, m.case, m.member)
        if found is not None:
            return found
        if why := _without_success(evidence, sli, m):
            return Estimate(None, 0, remark=why, source=m.source, query=m.query)
    if sli.role in {Role.THROUGHPUT, Role.REQUEST_RATE}:
        rate = throughput if sli.role is Role.THROUGHPUT else request_rate
        if (found := rate(evidence, m.scenario, m.case)) is not None:
            return found
    value, remark = _without_broken(evidence, sli, m, m.value)
    exact = _exact(sli, m)
    interval, method = (NOWHERE, "") if exact else _interval(sli, m, value)
    above = m.bound is not None and m.bound.upper is None
    return Estimate(
        value,
        m.n,
        interval,
        method,
        open_end=m.open_end,
        exact=exact,
        at_least=above,
        remark=LAST_BUCKET if above else remark,
        source=m.source,
        query=m.query,
    )


def sampled(evidence: Evidence, sli: Sli, scenario: str, case: str, member: str) -> Estimate | None:
    """Return an indicator computed exactly from its samples in the records; None without samples.

    The response times of an open case include the jobs that were cut off, as longer than they were observed.
    """
    if sli.samples is Samples.REQUEST_DURATIONS:
        values, cut_off, what = evidence.durations(scenario, member), [], f"duration of successful {member} requests"
        remark, unsteady = _failed_requests(evidence, scenario, member), False
    else:
        values, cut_off = evidence.response_times(scenario, case), _cut_off(evidence, scenario, case)
        part = evidence.stretch(scenario, case)
        unsteady = part.basis is Basis.NO_STEADY_PART
        what = f"done - due of completed measured jobs{_of_part(part)}"
        failed = _failed_jobs(evidence, scenario, case, bool(cut_off))
        remark = "; ".join(filter(None, (failed, part_of(evidence, scenario, case))))
    if not values:
        return None
    if sli.quantile is None:
        mean, interval = math.fsum(values) / len(values), non_negative(mean_interval(values))
        interval = without_upper(interval) if unsteady else interval
        return Estimate(mean, len(values), interval, STUDENT, remark=remark, query=f"mean({what})")
    what += " and of jobs cut off" if cut_off else ""
    found = tail(values, cut_off, sli.quantile)
    assert found is not None, "there are samples"
    if without := tail(values, [], sli.quantile):
        remark = _changed(found, without, len(cut_off)) or remark
    return Estimate(
        found.value,
        len(values) + len(cut_off),
        without_upper(found.interval) if unsteady else found.interval,
        ORDER,
        at_least=found.at_least,
        remark=remark,
        query=f"inverted_cdf({what}, {sli.quantile:g})",
    )


def _exact(sli: Sli, m: Measurement) -> str:
    """Return why a value has no error by chance: fixed by the plan, or no sample at all. Else empty."""
    if sli.by_design:
        return f"fixed by design: {sli.by_design}"
    counted = sli.kind is Kind.TOTAL or (sli.kind is Kind.COUNT and not m.n)
    return READ if m.interval is None and (counted or (sli.kind is Kind.VALUE and m.source != RECORDS)) else ""


def _interval(sli: Sli, m: Measurement, value: float) -> tuple[Interval, str]:
    """Return interval and method."""
    if m.interval is not None:
        return Interval(m.interval.lower, m.interval.upper), m.interval.method
    if sli.kind in {Kind.SHARE, Kind.COUNT} and m.n:
        share = value if sli.kind is Kind.SHARE else value / m.n
        limits = exact_proportion(min(round(share * m.n), m.n), m.n)
        scale = 1 if sli.kind is Kind.SHARE else m.n
        assert limits is not None, "n is not 0"
        return Interval(limits.lower * scale, limits.upper * scale), EXACT
    return NOWHERE, ""


@once
def throughput(evidence: Evidence, scenario: str, case: str) -> Estimate | None:
    """Return the completed jobs per second of a case's steady part, or of the whole case; None if it did not end."""
    part = evidence.stretch(scenario, case)
    return _rate(evidence, scenario, case, [job.done for job in part.completed], "completed measured jobs")


@once
def request_rate(evidence: Evidence, scenario: str, case: str) -> Estimate | None:
    """Return the HTTP requests per second of a case's steady part, or of the whole case; None if it did not end."""
    ends = evidence.stretch(scenario, case).within(evidence.requests.ends(scenario, case))
    return _rate(evidence, scenario, case, ends, "requests of measured jobs")


def _rate(evidence: Evidence, scenario: str, case: str, events: list[float], what: str) -> Estimate | None:
    part = evidence.stretch(scenario, case)
    if not part.seconds or part.started is None or part.ended is None or not evidence.case_jobs(scenario, case):
        return None
    interval = non_negative(rate_interval(events, part.started, part.ended))
    length = "the steady part" if part.basis is Basis.STEADY else "the case"
    return Estimate(
        len(events) / part.seconds,
        len(events),
        without_upper(interval) if part.basis is Basis.NO_STEADY_PART else interval,
        BATCHES,
        remark=part_of(evidence, scenario, case),
        query=f"{what}{_of_part(part)} / length of {length}",
    )


def part_of(evidence: Evidence, scenario: str, case: str) -> str:
    """Return which part of a case gives its rates and its response times; empty where nothing has to be said."""
    part = evidence.stretch(scenario, case)
    if part.basis is Basis.WHOLE:
        return ""
    jobs = len(evidence.case_jobs(scenario, case))
    if part.basis is Basis.NO_STEADY_PART and (why := standstill(part)):
        return f"no steady part, as {why}: all {text.counted(jobs, 'job')}"
    if part.basis is Basis.NO_STEADY_PART:
        return f"no steady part: all {text.counted(jobs, 'job')}, with the burst at the start and the drain at the end"
    return f"steady part: {len(part.jobs)} of {text.counted(jobs, 'job')}"


def without_upper(interval: Interval) -> Interval:
    """Return the interval of a number with start and drain, which make rates and response times smaller."""
    return Interval(interval.lower, None)


def _of_part(part: Stretch) -> str:
    return " that ended in the steady part" if part.basis is Basis.STEADY else ""


def _without_broken(evidence: Evidence, sli: Sli, m: Measurement, value: float) -> tuple[float, str]:
    """Return the success rate without the completed jobs whose file is broken, which Prometheus does not know."""
    if sli.role is not Role.SUCCESS_RATE or not m.n:
        return value, ""
    broken = evidence.broken_files(m.scenario, m.case)
    if not broken:
        return value, ""
    what = "a file that does not decode" if broken == 1 else "files that do not decode"
    return max(0.0, value - broken / m.n), f"without {text.counted(broken, 'job')} with {what}"


def _without_success(evidence: Evidence, sli: Sli, m: Measurement) -> str:
    """Return why a latency has no value although jobs or requests were sent: all of them failed. Else empty."""
    if sli.samples is Samples.REQUEST_DURATIONS:
        if evidence.durations(m.scenario, m.member):
            return ""
        failed = _failed_requests(evidence, m.scenario, m.member)
        return f"{failed}: no latency of a success" if failed else ""
    if sli.samples is Samples.RESPONSE_TIMES and not evidence.response_times(m.scenario, m.case):
        failed = _failed_jobs(evidence, m.scenario, m.case, apart=False)
        return f"{failed}: no response time of a success" if failed else ""
    return ""


def _failed_requests(evidence: Evidence, scenario: str, operation: str) -> str:
    """Return how many requests of an operation failed, with their statuses; empty when none did."""
    failures = evidence.requests.failures(scenario, operation)
    if not failures:
        return ""
    number = failures.total()
    sent = number + len(evidence.durations(scenario, operation))
    statuses = text.listed(
        [f"{count} with {'no answer' if status is None else status}" for status, count in failures.most_common()]
    )
    return f"{number} of {sent} {operation} requests failed ({statuses})"


def _failed_jobs(evidence: Evidence, scenario: str, case: str, apart: bool) -> str:  # noqa: FBT001 - a flag of one caller
    """Return how many jobs of a case failed, without those that percentiles count as cut off; empty when none did."""
    jobs = [job for job in evidence.case_jobs(scenario, case) if job.outcome not in STOPPED]
    good = {Outcome.COMPLETED, Outcome.TIMEOUT} if apart else {Outcome.COMPLETED}
    failed = sum(1 for job in jobs if job.outcome not in good)
    return f"{failed} of {text.counted(len(jobs), 'job')} failed" if failed else ""


def _cut_off(evidence: Evidence, scenario: str, case: str) -> list[float]:
    """Return the times for which jobs of an open case were observed until they were cut off."""
    record, found = evidence.scenario(scenario), _case(evidence, scenario, case)
    arriving = open_case(evidence, record, found) if record is not None and found is not None else None
    return [job.done - job.due for job in arriving.cut_off] if arriving is not None else []


def _changed(found: Tail, without: Tail, cut_off: int) -> str:
    """Return what the jobs that were cut off change of a percentile; empty when they change nothing."""
    if not found.at_least and found.value == without.value:
        return ""
    return f"{text.counted(cut_off, 'job')} cut off; with them it is {text.censored(found)} s"


def _case(evidence: Evidence, scenario: str, case: str) -> CaseRecord | None:
    found = evidence.scenario(scenario)
    return next((one for one in found.cases if one.name == case), None) if found else None
