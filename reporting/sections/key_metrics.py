"""The key metrics of each report: the numbers that a paper cites."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.cost import reference
from reelbench.reporting.analysis.cpu_usage import job_cpu
from reelbench.reporting.analysis.outages import recovery
from reelbench.reporting.analysis.restoration import mean_time
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Section
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.performance import capacity, load, open_loop
from reelbench.reporting.sections.performance import server as server_times
from reelbench.reporting.sections.reliability import breaker, outside_faults, retries
from reelbench.reporting.sections.reliability.outcomes import success
from reelbench.reporting.sections.resources import caching, memory, network, optimizations, server_key
from reelbench.reporting.sections.verdict import switched_off
from reelbench.reporting.statistics.intervals import non_negative

NO_DATA = "no data"
LARGE_POLLING_ERROR = 0.2
"""Share of the response time from which on the time between two polls hides how long a job takes."""


def performance(evidence: Evidence) -> Section:
    """Return response time, throughput, success under load and the figures of open-loop load."""
    items = []
    single = load.single(evidence)
    if single and (times := single.times):
        spread = f" ± {times.stddev:.3f}" if times.stddev is not None else ""
        sent = text.counted(times.n + single.failed, "job")
        count = f"n = {times.n}{f'; {single.failed} of {sent} failed' if single.failed else ''}"
        promql = evidence.measured(Role.RESPONSE_TIME_P95, single.scenario, single.case)
        items += [
            (
                f"Response time of a single request: **{times.average:.3f}{spread} s** (average ± sample standard "
                f"deviation, {count}; 95 % CI of the average in s: {text.interval(times.average_interval)})."
            ),
            (
                f"P95 of a single request: **{times.p95.value:.3f} s** (95 % CI in s: "
                f"{text.interval(times.p95.interval)}; estimate by PromQL {text.quantile(promql)} s)."
            ),
        ]
        items += _polling(evidence, single.scenario, single.case, times.average)
    best = load.fastest(evidence)
    if best and best.throughput is not None:
        items.append(
            f"Maximum throughput: **{text.job_rate(best.throughput)}** in {place_name(best.scenario, best.case)} "
            f"({best.concurrency} in flight, n = {best.times.n if best.times else 0}; {load.rate_limits(best)})."
        )
    crowded = load.crowded(evidence)
    if evidence.foreign and not crowded:  # the objective's load is that of the service of this project
        crowded = [level for level in (single, best) if level is not None]
    items += [
        f"Success rate at {level.concurrency} in flight ({level.scenario}): **{level.success.value * 100:.1f} %** "
        f"(95 % CI {level.success.lower * 100:.1f} to {level.success.upper * 100:.1f} %, n = {level.success.n})."
        for level in {(level.scenario, level.case): level for level in crowded}.values()
        if level.success
    ]
    return _section(
        evidence,
        "exact values from the client's records; cite them with environment and method",
        [*items, *_capacity(evidence), *open_loop.key_figures(evidence), *server_times.key_figures(evidence)],
    )


def _capacity(evidence: Evidence) -> list[str]:
    """Return the one statement of capacity, where the report has that section."""
    found = capacity.capacity(evidence)
    return [capacity.sentence(found)] if found is not None and found.ramp is not None else []


def _polling(evidence: Evidence, scenario: str, case: str, average: float) -> list[str]:
    """Return how late the client can have learnt of the end of a job, where it asked another maker's server for it."""
    gaps = [job.poll_gap for job in evidence.case_jobs(scenario, case) if job.poll_gap is not None]
    if not gaps or not evidence.foreign:
        return []
    gap = max(gaps)
    cure = (
        "; that is much of the response time, so measure again with a shorter `--poll-interval`"
        if gap > LARGE_POLLING_ERROR * average
        else ""
    )
    return [
        f"Polling error: a single request ended up to **{gap:.3f} s** before the client saw it (n = {len(gaps)}){cure}."
    ]


def reliability(evidence: Evidence) -> Section:
    """Return success rate, MTTR and recovery rate."""
    normal, saved = success(evidence), retries.recovered(evidence)
    mttr = recovery(breaker.provider_outages(evidence))
    off = ", the breaker was off" if evidence.switched_off("breaker") else ""
    outside = outside_faults.all_restorations(evidence)
    times = mean_time(outside)
    seen = outside_faults.mean_time_sentence(times) if times else NO_DATA
    shown = normal is not None or not (evidence.foreign and outside)
    items = [
        *((f"Success rate in normal operation: {text.quoted(normal) if normal else NO_DATA}.",) if shown else ()),
        *((f"MTTR of a fault from outside, as clients saw it: {seen}.",) if outside else ()),
    ]
    if evidence.foreign and mttr is None and saved is None:
        return _section(evidence, "cite it with environment and method", items)
    items += [
        f"MTTR of a provider outage: {breaker.mean_time(mttr) if mttr else NO_DATA + off}.",
        f"Recovery rate of transient failures: {text.quoted(saved) if saved else NO_DATA}.",
    ]
    return _section(evidence, "cite them with environment and method", items)


def resources(evidence: Evidence) -> Section:
    """Return memory, CPU, bytes and cost of a job, hit rate and the effect of pooling; of others what they show."""
    if evidence.foreign:
        return _section(
            evidence, "from the server's own metrics; cite them with environment and method", server_key.items(evidence)
        )
    rate = caching.hit_rate(evidence)
    items = (
        f"Memory per job: {_memory(evidence)}.",
        f"CPU per job: {_cpu(evidence)}.",
        f"Bytes per job: {_bytes(evidence)}.",
        f"Cache hit rate: {text.by_design(rate) if rate else NO_DATA}.",
        f"Cost per 1,000 jobs: {_cost(evidence)}.",
        *(
            f"Pooling: {optimizations.sentence(found, 'Jobs with it', 'those without it')}"
            for found in (optimizations.pooling_effect(evidence),)
            if found is not None
        ),
    )
    return _section(evidence, "cite them with environment, prices and method", items)


def _section(evidence: Evidence, note: str, items: Sequence[str]) -> Section:
    if not items:
        return Section("Key metrics", (Paragraph("No job was completed in a case with a key metric."),))
    off = switched_off(evidence)
    which = f" Baseline: without {text.listed(off)}." if off else ""
    return Section("Key metrics", (Paragraph(f"For a paper: {note}.{which}"), Bullets(tuple(items))))


def _memory(evidence: Evidence) -> str:
    found = memory.single(evidence)
    if found is None or found[0].growth is None:
        return NO_DATA
    held, jobs = found
    return (
        f"**{text.amount(held.growth)}** (peak minus before, one job at a time, n = {jobs}; a maximum, therefore "
        f"without an interval){memory.lasting(evidence)}"
    )


def _cpu(evidence: Evidence) -> str:
    found = subjects.single_job(evidence)
    each = job_cpu(evidence, found.name, found.case) if found else None
    if each is None:
        return NO_DATA
    above = ", above idle" if each.idle is not None else ""
    known = each.interval.lower is not None
    limits = f"; 95 % CI in s: {text.interval(non_negative(each.interval))}" if known else ""
    return f"**{each.value:.3f} s** (service and media workers{above}, one at a time, n = {each.jobs} jobs{limits})"


def _bytes(evidence: Evidence) -> str:
    found = network.steady(evidence)
    if found is None:
        return NO_DATA
    return f"**{text.amount(found.total / found.jobs)}** (all peers, both directions, n = {found.jobs} jobs)"


def _cost(evidence: Evidence) -> str:
    found = reference(evidence)
    if found is None:
        return NO_DATA
    scenario, case, one = found
    return (
        f"**{text.money(one.each * 1000)} {evidence.prices.currency}** (marginal, list prices, "
        f"{place_name(scenario, case.name)}, n = {one.completed} completed jobs)"
    )
