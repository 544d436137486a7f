"""The five figures of a run that matter most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.cost import reference
from reelbench.reporting.analysis.cpu_usage import job_cpu
from reelbench.reporting.analysis.job_integrity import losses
from reelbench.reporting.analysis.outages import Recovery, recovery
from reelbench.reporting.analysis.restoration import MeanTime, mean_time
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.results.summary import Figure
from reelbench.reporting.sections.performance import capacity, load
from reelbench.reporting.sections.reliability import breaker, outside_faults
from reelbench.reporting.sections.reliability.outcomes import success
from reelbench.reporting.statistics.intervals import Proportion

MOST = 5


def figures(evidence: Evidence, analyses: Sequence[Analysis]) -> tuple[Figure, ...]:
    """Return at most five figures: the first of each kind, then others until there are five."""
    performance, reliability, resources = (list(found(evidence)) for found in (_performance, _reliability, _resources))
    first = [*performance[:2], *reliability[:2], *resources[:1]]
    rest = [*performance[2:], *reliability[2:], *resources[1:], *_judged(analyses)]
    chosen: dict[tuple[float, str], Figure] = {}
    for figure in (*first, *rest):
        chosen.setdefault((figure.value, figure.unit), figure)  # a judged indicator can be one of the figures
    return tuple(chosen.values())[:MOST]


def _performance(evidence: Evidence) -> Iterator[Figure]:
    single, best = load.single(evidence), load.fastest(evidence)
    if single and (times := single.times):
        limits = times.p95.interval
        where = place_name(single.scenario, single.case)
        yield Figure(
            name="P95 of a single request",
            value=times.p95.value,
            unit="s",
            lower=limits.lower,
            upper=limits.upper,
            n=times.n,
            where=where,
        )
    if best and best.throughput is not None:
        yield Figure(
            name="Maximum throughput",
            value=best.throughput,
            unit="jobs/s",
            lower=best.throughput_interval.lower,
            upper=best.throughput_interval.upper,
            n=best.times.n if best.times else 0,
            where=f"{place_name(best.scenario, best.case)}, {best.concurrency} in flight",
        )
    held = capacity.capacity(evidence)
    if held is not None and held.ramp is not None and held.rate:
        yield Figure(name="Capacity", value=held.rate, unit="jobs/s", where="ramp of arrivals")
    if single and single.success:
        yield _share("Success rate of single requests", single.success, place_name(single.scenario, single.case))


def _reliability(evidence: Evidence) -> Iterator[Figure]:
    normal, scenario = success(evidence), subjects.normal_operation(evidence)
    if normal and scenario:
        yield _share("Success rate without faults", normal, scenario.name)
    outages = recovery(breaker.provider_outages(evidence))
    if outages is not None:
        yield _mean("Time to recover from a provider outage", outages, "mean, fault on to breaker closed")
    times = mean_time(outside_faults.all_restorations(evidence))
    if times is not None:
        yield _mean("Time to recover from a fault from outside", times, "mean, as clients saw it")
    found = losses(evidence, *subjects.names(evidence.scenarios(Dimension.RELIABILITY)))
    if found.lost is not None and found.expected:
        yield Figure(name="Accepted jobs lost", value=float(found.lost), unit="jobs", n=found.expected)


def _resources(evidence: Evidence) -> Iterator[Figure]:
    if evidence.foreign:
        return
    bill = reference(evidence)
    if bill is not None:
        name, case, cost = bill
        yield Figure(
            name="Cost of 1,000 jobs",
            value=cost.each * 1000,
            unit=evidence.prices.currency,
            n=cost.completed,
            where=f"{place_name(name, case.name)}, list prices",
        )
    alone = subjects.single_job(evidence)
    used = job_cpu(evidence, alone.name, alone.case) if alone else None
    if alone and used is not None:
        yield Figure(
            name="CPU of a job",
            value=used.value,
            unit="s",
            lower=used.interval.lower,
            upper=used.interval.upper,
            n=used.jobs,
            where=place_name(alone.name, alone.case.name),
        )


def _judged(analyses: Sequence[Analysis]) -> Iterator[Figure]:
    """Yield the first value of each judged indicator, for runs of scenarios of one's own."""
    for analysis in analyses:
        for verdict in analysis.verdicts:
            if verdict.value is not None:
                yield Figure(
                    name=verdict.sli.title,
                    value=verdict.value,
                    unit=verdict.sli.unit,
                    lower=verdict.estimate.interval.lower,
                    upper=verdict.estimate.interval.upper,
                    n=verdict.n,
                    where=place_name(verdict.scenario, verdict.case, verdict.member),
                )


def _mean(name: str, found: Recovery | MeanTime, where: str) -> Figure:
    interval = found.interval
    return Figure(
        name=name, value=found.mean, unit="s", lower=interval.lower, upper=interval.upper, n=found.n, where=where
    )


def _share(name: str, found: Proportion, where: str) -> Figure:
    return Figure(
        name=name, value=found.value, unit="ratio", lower=found.lower, upper=found.upper, n=found.n, where=where
    )
