"""Every number of a run as a record: the indicators of the catalogue, and figures of the client's records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TypedDict

import msgspec

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.estimates import Estimate, estimate, request_rate, sampled, throughput
from reelbench.reporting.analysis.verdicts import QUICK, Status, Verdict
from reelbench.reporting.catalogue.sli import Kind, Role, Samples, Sli
from reelbench.reporting.document import grafana_links
from reelbench.reporting.evidence.evidence import STOPPED, Evidence
from reelbench.reporting.evidence.limits import Limits
from reelbench.reporting.evidence.measurements import RECORDS, Measurement
from reelbench.reporting.evidence.stretch import Basis
from reelbench.reporting.results.results import ResultValue, Target
from reelbench.reporting.statistics.intervals import EXACT, deviation, exact_proportion

Place = tuple[str, str, str, str]
"""Indicator, scenario, case and member."""
LEAST, LONGEST = "Least response time", "Longest response time"
DEVIATION = "Standard deviation of the response time (n - 1)"
_TIMES = "done - due of completed measured jobs"


class _Figure(msgspec.Struct, frozen=True):
    """A number computed from the client's records."""

    sli: Sli | None
    """The indicator of the catalogue that it is; None for a figure without one."""
    id: str
    title: str
    unit: str
    value: float | None
    n: int
    interval: Limits | None
    what: str
    """What was computed."""
    at_least: bool = False


def numbers(evidence: Evidence, verdicts: Iterable[Verdict]) -> tuple[ResultValue, ...]:
    """Return all numbers: those of the catalogue in its order, then those of the records in the order of the run."""
    judged = {(v.sli.id, v.scenario, v.case, v.member): v for v in verdicts}
    return (
        *(
            _measured(evidence, m, judged.get((m.sli, m.scenario, m.case, m.member)))
            for m in evidence.measurements.measurements
        ),
        *_exact(evidence, judged),
    )


def _measured(evidence: Evidence, m: Measurement, verdict: Verdict | None) -> ResultValue:
    """Return a measurement with its verdict; where the records give the number, it is only an estimate by PromQL."""
    sli = evidence.catalogue.get(m.sli)
    scenario = evidence.scenario(m.scenario)
    started, ended = grafana_links.window(evidence.run, m.scenario, m.case)
    number = verdict.estimate if verdict else estimate(evidence, sli, m)
    estimated = number.source != m.source
    steady = evidence.stretch(m.scenario, m.case).basis is Basis.STEADY and sli.kind is not Kind.SHARE
    by = "of the whole case, estimate by PromQL" if steady else "estimate by PromQL"
    judged = None if estimated else verdict
    return ResultValue(
        sli=sli.id,
        title=f"{sli.title}, {by}" if estimated else sli.title,
        dimension=scenario.dimension if scenario else "",
        scenario=m.scenario,
        case=m.case,
        member=m.member,
        value=m.value if estimated else number.value,
        unit=sli.unit,
        no_data=number.remark if number.value is None and not estimated else m.no_data,
        n=m.n,
        interval=m.interval if estimated else limits(number),
        bucket=m.bound,
        source=m.source,
        query=m.query,
        instant=m.instant,
        started=started,
        ended=ended,
        grafana=grafana_links.place(_grafana(evidence), evidence.run, m.scenario, m.case),
        **_judgement(evidence, sli, m.scenario, m.case, judged),
    )


class _Judged(TypedDict):
    """The fields of a value that its verdict gives."""

    objective: Target | None
    verdict: Status | None
    certainty: Certainty | None
    reason: str
    tolerated: bool
    panel: str | None


def _judgement(evidence: Evidence, sli: Sli | None, scenario: str, case: str, verdict: Verdict | None) -> _Judged:
    return _Judged(
        objective=Target(direction=verdict.objective.direction, value=verdict.objective.value) if verdict else None,
        verdict=verdict.status if verdict else None,
        certainty=verdict.certainty if verdict else None,
        reason=verdict.reason if verdict else "",
        tolerated=verdict is not None and verdict.too_few and evidence.run.profile == QUICK,
        panel=grafana_links.panel(_grafana(evidence), sli, evidence.run, scenario, case) if verdict and sli else None,
    )


def limits(number: Estimate) -> Limits | None:
    """Return the interval of a number as it is kept; None where it has none."""
    if not number.method:
        return None
    return Limits(lower=number.interval.lower, upper=number.interval.upper, method=number.method)


def _exact(evidence: Evidence, judged: Mapping[Place, Verdict]) -> Iterator[ResultValue]:
    for scenario in evidence.run.scenarios:
        if evidence.scenario(scenario.name) is None:
            continue
        for case in scenario.cases:
            for figure in _case(evidence, scenario, case) if case.started is not None else ():
                verdict = judged.get((figure.id, scenario.name, case.name, "")) if figure.sli else None
                yield _number(evidence, scenario, case.name, figure, verdict)
        for member, figure in _operations(evidence, scenario):
            verdict = judged.get((figure.id, scenario.name, "", member))
            yield _number(evidence, scenario, "", figure, verdict, member=member)


def _case(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> Iterator[_Figure]:
    """Yield response times, success and throughput of the measured jobs of a case, without warm-up."""
    times = evidence.response_times(scenario.name, case.name)
    part = evidence.stretch(scenario.name, case.name)
    of_times = f"{_TIMES} that ended in the steady part" if part.basis is Basis.STEADY else _TIMES
    jobs = evidence.case_jobs(scenario.name, case.name)
    ended = sum(1 for job in jobs if job.outcome not in STOPPED)
    success = evidence.catalogue.of_role(Role.SUCCESS_RATE)
    if success and (share := exact_proportion(evidence.successes(scenario.name, case.name), ended)):
        what = "completed, file not broken / (ended by itself)"
        exact = Limits(lower=share.lower, upper=share.upper, method=EXACT)
        yield _Figure(success, success.id, success.title, success.unit, share.value, share.n, exact, what)
    if not times:
        return
    n = len(times)
    yield _Figure(None, "response_time_min", LEAST, "s", times[0], n, None, f"min({of_times})")
    yield from _sampled(evidence, Kind.MEAN, scenario, case)
    yield _Figure(None, "response_time_max", LONGEST, "s", times[-1], n, None, f"max({of_times})")
    yield _Figure(None, "response_time_stddev", DEVIATION, "s", deviation(times), n, None, f"stddev({of_times})")
    yield from _sampled(evidence, Kind.QUANTILE, scenario, case)
    for role, of in ((Role.THROUGHPUT, throughput), (Role.REQUEST_RATE, request_rate)):
        sli, number = evidence.catalogue.of_role(role), of(evidence, scenario.name, case.name)
        if sli and number is not None and (role is Role.THROUGHPUT or sli.of(scenario.dimension)):
            yield _of(sli, number)


def _sampled(evidence: Evidence, kind: Kind, scenario: ScenarioRecord, case: CaseRecord) -> Iterator[_Figure]:
    """Yield the means or the quantiles of the response times of a case."""
    for sli in evidence.catalogue.slis:
        if sli.samples is Samples.RESPONSE_TIMES and sli.kind is kind:
            number = sampled(evidence, sli, scenario.name, case.name, "")
            if number is not None:
                yield _of(sli, number)


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
            numbers = ((sli, sampled(evidence, sli, scenario.name, "", member)) for sli in found)
            yield from ((member, _of(sli, number)) for sli, number in numbers if number is not None)


def _of(sli: Sli, number: Estimate) -> _Figure:
    """Return a mean or a quantile of samples as a figure."""
    return _Figure(
        sli, sli.id, sli.title, sli.unit, number.value, number.n or 0, limits(number), number.query, number.at_least
    )


def _number(
    evidence: Evidence,
    scenario: ScenarioRecord,
    case: str,
    figure: _Figure,
    verdict: Verdict | None,
    *,
    member: str = "",
) -> ResultValue:
    """Return a figure, with the verdict where it is the number that was judged."""
    started, ended = grafana_links.window(evidence.run, scenario.name, case)
    own = verdict if verdict is not None and verdict.estimate.query == figure.what else None
    return ResultValue(
        sli=figure.id,
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
        at_least=figure.at_least,
        bucket=None,
        source=RECORDS,
        query=figure.what,
        instant=evidence.measurements.instant,
        started=started,
        ended=ended,
        grafana=grafana_links.place(_grafana(evidence), evidence.run, scenario.name, case),
        **_judgement(evidence, figure.sli, scenario.name, case, own),
    )


def _grafana(evidence: Evidence) -> str | None:
    return evidence.stack.grafana_url if evidence.stack else None
