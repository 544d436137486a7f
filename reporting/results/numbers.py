"""Every number of a run as a record: the indicators of the catalogue, and figures of the client's records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.outages import outages, recovery
from reelbench.reporting.analysis.restoration import mean_time, restorations
from reelbench.reporting.analysis.verdicts import QUICK, Verdict
from reelbench.reporting.catalogue.sli import Kind, RecordFunction, Role, Samples, Sli
from reelbench.reporting.document import grafana_links
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, case_seconds
from reelbench.reporting.evidence.measurements import RECORDS, Measurement
from reelbench.reporting.results.results import Limits, ResultValue, Target
from reelbench.reporting.statistics.intervals import (
    Interval,
    Proportion,
    deviation,
    exact_proportion,
    mean_interval,
    percentile,
    proportion,
)

WILSON, EXACT, ORDER, STUDENT = "Wilson", "Clopper and Pearson", "order statistics", "Student's t"
LEAST, LONGEST = "Least response time", "Longest response time"
DEVIATION = "Standard deviation of the response time (n - 1)"
_TIMES = "done - due of completed measured jobs"


@dataclass(frozen=True, slots=True)
class _Figure:
    """A number computed from the client's records."""

    sli: str
    title: str
    unit: str
    value: float | None
    n: int
    interval: Limits | None
    what: str
    """What was computed."""


def numbers(evidence: Evidence, verdicts: Iterable[Verdict]) -> tuple[ResultValue, ...]:
    """Return all numbers: those of the catalogue in its order, then those of the records in the order of the run."""
    judged = {(v.sli.id, v.scenario, v.case, v.member): v for v in verdicts}
    return (
        *(
            _measured(evidence, m, judged.get((m.sli, m.scenario, m.case, m.member)))
            for m in evidence.measurements.measurements
        ),
        *_exact(evidence),
    )


def _measured(evidence: Evidence, m: Measurement, verdict: Verdict | None) -> ResultValue:
    sli = evidence.catalogue.get(m.sli)
    scenario = evidence.scenario(m.scenario)
    started, ended = grafana_links.window(evidence.run, m.scenario, m.case)
    return ResultValue(
        sli=sli.id,
        title=sli.title,
        dimension=scenario.dimension if scenario else "",
        scenario=m.scenario,
        case=m.case,
        member=m.member,
        value=m.value,
        unit=sli.unit,
        no_data=m.no_data,
        n=m.n,
        interval=_interval(evidence, sli, m),
        bucket=m.bound,
        objective=Target(direction=verdict.objective.direction, value=verdict.objective.value) if verdict else None,
        verdict=verdict.status if verdict else None,
        reason=verdict.reason if verdict else "",
        tolerated=verdict is not None and verdict.too_few and evidence.run.profile == QUICK,
        source=m.source,
        query=m.query,
        instant=m.instant,
        started=started,
        ended=ended,
        grafana=grafana_links.place(_grafana(evidence), evidence.run, m.scenario, m.case),
        panel=grafana_links.panel(_grafana(evidence), sli, evidence.run, m.scenario, m.case) if verdict else None,
    )


def _interval(evidence: Evidence, sli: Sli, m: Measurement) -> Limits | None:
    """Return the interval of a share or of a mean time to recovery; a share of the records is of few events."""
    if m.value is None or not m.n:
        return None
    if sli.function is RecordFunction.MEAN_TIME_TO_RECOVERY:
        found = recovery(outages(evidence, m.scenario))
        return _limits(found.interval, STUDENT) if found else None
    if sli.function is RecordFunction.MEAN_TIME_TO_RESTORATION:
        times = mean_time(restorations(evidence, m.scenario))
        return _limits(times.interval, STUDENT) if times else None
    if sli.kind is not Kind.SHARE:
        return None
    events = round(m.value * m.n)
    return (
        _share(exact_proportion(events, m.n), EXACT) if m.source == RECORDS else _share(proportion(events, m.n), WILSON)
    )


def _exact(evidence: Evidence) -> Iterator[ResultValue]:
    for scenario in evidence.run.scenarios:
        if evidence.scenario(scenario.name) is None:
            continue
        for case in scenario.cases:
            for figure in _case(evidence, scenario, case) if case.started is not None else ():
                yield _number(evidence, scenario, case.name, "", figure)
        for member, figure in _operations(evidence, scenario):
            yield _number(evidence, scenario, "", member, figure)


def _case(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> Iterator[_Figure]:
    """Yield response times, success and throughput of the measured jobs of a case, without warm-up."""
    times = evidence.response_times(scenario.name, case.name)
    jobs = evidence.case_jobs(scenario.name, case.name)
    ended = sum(1 for job in jobs if job.outcome not in STOPPED)
    success, rate = evidence.catalogue.of_role(Role.SUCCESS_RATE), evidence.catalogue.of_role(Role.THROUGHPUT)
    if success and (share := proportion(sum(map(evidence.succeeded, jobs)), ended)):
        what = "completed, file not broken / (ended by itself)"
        yield _figure(success, share.value, share.n, _share(share, WILSON), what)
    if not times:
        return
    n = len(times)
    sampled = [sli for sli in evidence.catalogue.slis if sli.samples is Samples.RESPONSE_TIMES]
    yield _Figure("response_time_min", LEAST, "s", min(times), n, None, f"min({_TIMES})")
    yield from (_sampled(sli, times, _TIMES) for sli in sampled if sli.kind is Kind.MEAN)
    yield _Figure("response_time_max", LONGEST, "s", max(times), n, None, f"max({_TIMES})")
    yield _Figure("response_time_stddev", DEVIATION, "s", deviation(sorted(times)), n, None, f"stddev({_TIMES})")
    yield from (_sampled(sli, times, _TIMES) for sli in sampled if sli.kind is Kind.QUANTILE)
    if rate and (seconds := case_seconds(case)):
        yield _figure(rate, n / seconds, n, None, "completed measured jobs / length of the case")


def _operations(evidence: Evidence, scenario: ScenarioRecord) -> Iterator[tuple[str, _Figure]]:
    """Yield the latency of the operations of the API, each with its operation, where the catalogue measures it."""
    measured = (
        sli
        for sli in evidence.catalogue.slis
        if sli.samples is Samples.REQUEST_DURATIONS and scenario.name in sli.scenarios
    )
    for by, slis in groupby(measured, lambda sli: sli.by):
        found = tuple(slis)
        for member in by.members if by else ():
            if durations := evidence.durations(scenario.name, member):
                yield from ((member, _sampled(sli, durations, f"duration of {member}")) for sli in found)


def _sampled(sli: Sli, values: list[float], what: str) -> _Figure:
    """Compute a mean or a quantile of samples."""
    if sli.quantile is None:
        mean = math.fsum(values) / len(values)
        return _figure(sli, mean, len(values), _limits(mean_interval(values), STUDENT), f"mean({what})")
    found = percentile(sorted(values), sli.quantile)
    interval = _limits(found.interval, ORDER)
    return _figure(sli, found.value, len(values), interval, f"inverted_cdf({what}, {sli.quantile:g})")


def _figure(sli: Sli, value: float, n: int, interval: Limits | None, what: str) -> _Figure:
    return _Figure(sli.id, sli.title, sli.unit, value, n, interval, what)


def _number(evidence: Evidence, scenario: ScenarioRecord, case: str, member: str, figure: _Figure) -> ResultValue:
    started, ended = grafana_links.window(evidence.run, scenario.name, case)
    return ResultValue(
        sli=figure.sli,
        title=figure.title,
        dimension=scenario.dimension,
        scenario=scenario.name,
        case=case,
        member=member,
        value=figure.value,
        unit=figure.unit,
        no_data=None if figure.value is not None else "one job has no spread",
        n=figure.n,
        interval=figure.interval,
        bucket=None,
        objective=None,
        verdict=None,
        reason="",
        tolerated=False,
        source=RECORDS,
        query=figure.what,
        instant=evidence.measurements.instant,
        started=started,
        ended=ended,
        grafana=grafana_links.place(_grafana(evidence), evidence.run, scenario.name, case),
        panel=None,
    )


def _grafana(evidence: Evidence) -> str | None:
    return evidence.stack.grafana_url if evidence.stack else None


def _limits(interval: Interval, method: str) -> Limits:
    """Return the interval of a time, which is never negative."""
    lower = max(interval.lower, 0.0) if interval.lower is not None else None
    return Limits(lower=lower, upper=interval.upper, method=method)


def _share(value: Proportion | None, method: str) -> Limits | None:
    return Limits(lower=value.lower, upper=value.upper, method=method) if value else None
