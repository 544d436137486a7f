"""Every number of a run as a record: what the catalogue asked for, and the exact figures of the client's records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reelbench.loadgen.record.records import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis.outages import outages, recovery
from reelbench.reporting.analysis.verdicts import QUICK, Verdict
from reelbench.reporting.catalogue.sli import Catalogue, Sli
from reelbench.reporting.document import grafana_links
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import RECORDS, Measurement
from reelbench.reporting.evidence.records import STOPPED, case_seconds
from reelbench.reporting.results.results import Limits, ResultValue, Target
from reelbench.reporting.statistics.intervals import (
    Interval,
    Proportion,
    exact_proportion,
    mean_interval,
    proportion,
    summarize,
)

WILSON, EXACT, ORDER, STUDENT = "Wilson", "Clopper and Pearson", "order statistics", "Student's t"
TITLES = {
    "response_time_min": ("Least response time", "s"),
    "response_time_max": ("Longest response time", "s"),
    "response_time_stddev": ("Standard deviation of the response time (n - 1)", "s"),
}
"""Figures of the records that the catalogue has no indicator for, with their unit."""
_RARE = frozenset({"breaker_opened", "integrity_share"})
"""Functions of the records that are shares of few events: their interval is exact."""
_TIMES = "done - due of completed measured jobs"
_Figure = tuple[str, float | None, int, Limits | None, str]
"""Indicator, value, sample size, interval, and what was computed."""


def numbers(evidence: Evidence, verdicts: Iterable[Verdict]) -> tuple[ResultValue, ...]:
    """All numbers: those of the catalogue in its order, then the exact ones in the order of the run."""
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
    """The interval of a share of events that were counted, and of a mean whose observations are known."""
    if m.value is None or not m.n:
        return None
    if sli.function == "mean_time_to_recovery":
        found = recovery(outages(evidence, m.scenario))
        return _limits(found.interval, STUDENT) if found else None
    if sli.function in _RARE:
        return _share(exact_proportion(round(m.value * m.n), m.n), EXACT)
    if sli.unit == "ratio" and m.source != RECORDS and sli.n is not None and sli.quantile is None:
        return _share(proportion(round(m.value * m.n), m.n), WILSON)
    return None


def _exact(evidence: Evidence) -> Iterator[ResultValue]:
    for scenario in evidence.run.scenarios:
        if evidence.scenario(scenario.name) is None:
            continue
        for case in scenario.cases:
            for figure in _case(evidence, scenario, case) if case.started is not None else ():
                yield _number(evidence, scenario, case.name, "", figure)
        for prefix, member, figures in _operations(evidence, scenario):
            for figure in figures:
                yield _number(evidence, scenario, "", member, (f"{prefix}_{figure[0]}", *figure[1:]))


def _case(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> Iterator[_Figure]:
    """Response times, success and speed of the measured jobs of a case, warm-up left out."""
    times = evidence.response_times(scenario.name, case.name)
    ended = sum(1 for job in evidence.case_jobs(scenario.name, case.name) if job.outcome not in STOPPED)
    success = proportion(len(times), ended)
    if success is not None:
        yield "success_rate", success.value, success.n, _share(success, WILSON), "completed / (ended by itself)"
    for name, *rest in _summary(times, _TIMES):
        yield f"response_time_{name}", *rest  # type: ignore[misc] # the rest of a _Figure
    seconds = case_seconds(case)
    if seconds and times:
        yield "throughput", len(times) / seconds, len(times), None, "completed measured jobs / length of the case"


def _operations(evidence: Evidence, scenario: ScenarioRecord) -> Iterator[tuple[str, str, list[_Figure]]]:
    """Latency of the operations of the API, where the catalogue measures it."""
    for prefix in ("api_latency", "wait_latency"):
        by = _by(evidence.catalogue, f"{prefix}_p95")
        if scenario.name not in by[0]:
            continue
        for member in by[1]:
            durations = evidence.durations(scenario.name, member)
            wanted = ("avg", "p95")
            yield prefix, member, [f for f in _summary(durations, f"duration of {member}") if f[0] in wanted]


def _by(catalogue: Catalogue, sli: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = next((entry for entry in catalogue.slis if entry.id == sli), None)
    return (found.scenarios, found.by.members if found.by else ()) if found else ((), ())


def _summary(values: list[float], what: str) -> Iterator[_Figure]:
    found = summarize(values)
    if found is None:
        return
    n = found.n
    yield "min", found.minimum, n, None, f"min({what})"
    yield "avg", found.average, n, _limits(mean_interval(values), STUDENT), f"mean({what})"
    yield "max", found.maximum, n, None, f"max({what})"
    yield "stddev", found.stddev, n, None, f"stddev({what})"
    for name, q, percentile in (("p50", 0.5, found.p50), ("p95", 0.95, found.p95), ("p99", 0.99, found.p99)):
        yield name, percentile.value, n, _limits(percentile.interval, ORDER), f"inverted_cdf({what}, {q:g})"


def _number(evidence: Evidence, scenario: ScenarioRecord, case: str, member: str, figure: _Figure) -> ResultValue:
    sli, value, n, interval, what = figure
    title, unit = TITLES.get(sli) or _named(evidence.catalogue, sli)
    started, ended = grafana_links.window(evidence.run, scenario.name, case)
    return ResultValue(
        sli=sli,
        title=title,
        dimension=scenario.dimension,
        scenario=scenario.name,
        case=case,
        member=member,
        value=value,
        unit=unit,
        no_data=None if value is not None else "one job has no spread",
        n=n,
        interval=interval,
        bucket=None,
        objective=None,
        verdict=None,
        reason="",
        tolerated=False,
        source=RECORDS,
        query=what,
        instant=evidence.measurements.instant,
        started=started,
        ended=ended,
        grafana=grafana_links.place(_grafana(evidence), evidence.run, scenario.name, case),
        panel=None,
    )


def _named(catalogue: Catalogue, sli: str) -> tuple[str, str]:
    found = next((entry for entry in catalogue.slis if entry.id == sli), None)
    return (found.title, found.unit) if found else (sli.replace("_", " "), "")


def _grafana(evidence: Evidence) -> str | None:
    return evidence.stack.grafana_url if evidence.stack else None


def _limits(interval: Interval, method: str) -> Limits:
    """The interval of a time, which is never less than nothing."""
    lower = max(interval.lower, 0.0) if interval.lower is not None else None
    return Limits(lower=lower, upper=interval.upper, method=method)


def _share(value: Proportion | None, method: str) -> Limits | None:
    return Limits(lower=value.lower, upper=value.upper, method=method) if value else None
