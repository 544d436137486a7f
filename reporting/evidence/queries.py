"""The queries of a run: placeholders filled in, sent to Prometheus, and the answers as measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from reelbench.loadgen.record.run import CaseRecord, RunRecord, ScenarioRecord
from reelbench.reporting.catalogue.sli import Catalogue, Sli
from reelbench.reporting.evidence.buckets import bound_of, limits_of
from reelbench.reporting.evidence.evidence import began
from reelbench.reporting.evidence.measurements import Measurement, Measurements
from reelbench.reporting.evidence.prometheus import NoData, Prometheus, Value, Vector, single

DIGITS = 12
"""Significant digits kept: Prometheus may sum series in another order after a restart, which moves the last ones."""


class Question(msgspec.Struct, frozen=True):
    """One query of an indicator with its placeholders filled in."""

    sli: Sli
    scenario: str
    case: str
    members: tuple[str, ...]
    """Expected members; ("",) when the indicator is not split."""
    seconds: float | None
    """Length to divide by, for an indicator per second."""
    query: str
    buckets: str | None


def questions(
    catalogue: Catalogue, run: RunRecord, window: str, *, lag: float = 0.0, ahead: float = 0.0
) -> tuple[Question, ...]:
    """Return every question of a run, in the order of catalogue, scenario and case; without parts that never began.

    Args:
        catalogue: The indicators.
        run: The run.
        window: Range of the queries.
        lag: Seconds after the end of a case at which a sample from after its end is there.
        ahead: Seconds by which the clock of the Prometheus that is asked is ahead of that of the run.
    """
    return tuple(
        _question(sli, run, scenario, case, window, lag=lag, ahead=ahead)
        for sli in catalogue.slis
        if sli.query is not None
        for scenario, case in places(sli, run)
    )


def collect(
    asked: tuple[Question, ...], run: RunRecord, prometheus: Prometheus | None, *, instant: float, window: str
) -> Measurements:
    """Query Prometheus; without one, every value is missing, with that reason.

    Raises:
        QueryError: Prometheus did not answer.
    """
    texts = [text for q in asked for text in (q.query, q.buckets) if text]
    answers: dict[str, Vector] | None = prometheus.vectors(texts, instant) if prometheus else None
    values = {(q.sli.id, q.scenario, q.case, member): _value(q, member, answers) for q in asked for member in q.members}
    measurements = tuple(_measurement(q, member, values, answers, instant) for q in asked for member in q.members)
    return Measurements(
        run_id=run.run_id,
        instant=instant,
        window=window,
        prometheus=prometheus is not None,
        measurements=measurements,
    )


def rounded(value: float) -> float:
    """Return a value with the digits that are kept."""
    return float(f"{value:.{DIGITS}g}")


def places(sli: Sli, run: RunRecord) -> Iterator[tuple[ScenarioRecord | None, CaseRecord | None]]:
    """Yield scenario and case of every place where an indicator is measured; None stands for the whole."""
    if sli.scope == "run":
        if any(began(scenario) and sli.of(scenario.dimension) for scenario in run.scenarios):
            yield None, None
        return
    for scenario in run.scenarios:
        wanted = scenario.name in sli.scenarios if sli.scenarios else sli.of(scenario.dimension)
        if not wanted or not began(scenario):
            continue
        if sli.scope == "scenario":
            yield scenario, None
        else:
            yield from ((scenario, case) for case in scenario.cases if case.started is not None)


def _question(
    sli: Sli,
    run: RunRecord,
    scenario: ScenarioRecord | None,
    case: CaseRecord | None,
    window: str,
    *,
    lag: float,
    ahead: float,
) -> Question:
    values = {"run_id": run.run_id, "window": window, **_borders(scenario, case, lag, ahead)}
    seconds = None
    if scenario:
        values["scenario"] = scenario.name
    if case:
        values["case"] = case.name
        if sli.per_second and case.started is not None and case.ended is not None:
            seconds = case.ended - case.started
    members = sli.by.members if sli.by else ("",)
    if sli.by and sli.by.label == "operation" and scenario:  # a scenario sends only the operations of its steps
        members = tuple(member for member in members if member in scenario.steps)
    return Question(
        sli=sli,
        scenario=scenario.name if scenario else "",
        case=case.name if case else "",
        members=members,
        seconds=seconds,
        query=sli.fill(sli.query or "", values),
        buckets=sli.fill(sli.buckets, values) if sli.buckets else None,
    )


def _borders(scenario: ScenarioRecord | None, case: CaseRecord | None, lag: float, ahead: float) -> dict[str, str]:
    """Return the two times between which a case or scenario lies, and the range between them."""
    cases = [case] if case else scenario.cases if scenario else []
    started = min((one.started for one in cases if one.started is not None), default=0.0)
    ended = max((one.ended for one in cases if one.ended is not None), default=started) + lag
    length = f"{math.ceil((ended - started) * 1000)}ms"
    return {"start": f"{started + ahead:.3f}", "end": f"{ended + ahead:.3f}", "length": length}


def _value(question: Question, member: str, answers: dict[str, Vector] | None) -> Value | NoData:
    if answers is None:
        return NoData("there was no Prometheus to ask")
    value = single(_of_member(question, member, answers[question.query]))
    if isinstance(value, NoData):
        return value
    if not math.isfinite(value.value):
        return NoData(f"the answer is {value.value:+}, not a number")
    if not question.sli.per_second:
        return value
    if not question.seconds:
        return NoData("the case has no recorded end")
    return Value(value.value / question.seconds)


def _of_member(question: Question, member: str, vector: Vector) -> Vector:
    by = question.sli.by
    return vector if by is None else tuple(sample for sample in vector if sample.metric.get(by.label) == member)


def _measurement(
    question: Question,
    member: str,
    values: dict[tuple[str, str, str, str], Value | NoData],
    answers: dict[str, Vector] | None,
    instant: float,
) -> Measurement:
    sli = question.sli
    place = (question.scenario, question.case, member)
    value = values[(sli.id, *place)]
    size = values.get((sli.n, *place)) if sli.n else None
    bound, interval = None, None
    if answers is not None and question.buckets and sli.quantile is not None:
        buckets = _of_member(question, member, answers[question.buckets])
        bound, interval = bound_of(buckets, sli.quantile), limits_of(buckets, sli.quantile)
    return Measurement(
        sli=sli.id,
        scenario=question.scenario,
        case=question.case,
        member=member,
        query=question.query,
        instant=instant,
        value=rounded(value.value) if isinstance(value, Value) else None,
        no_data=value.reason if isinstance(value, NoData) else None,
        bound=bound,
        n=round(size.value) if isinstance(size, Value) else None,
        interval=interval,
    )
