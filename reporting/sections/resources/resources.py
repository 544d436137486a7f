"""The resources report."""

from __future__ import annotations

from collections.abc import Iterator

from reelbench.reporting.analysis.baseline import Comparison, compare
from reelbench.reporting.analysis.cost import reference
from reelbench.reporting.analysis.process_usage import idle_cores, job_seconds
from reelbench.reporting.analysis.traffic import traffic
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Report, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections import common, principles
from reelbench.reporting.sections.resources import caching, cost, cpu, leak, memory, network, pooling, recommendations

DIMENSION = "resources"
METHOD = (
    (
        "**Memory and CPU** are read from the raw samples that Prometheus stored, through each case from the rest "
        "before it to the rest after it, with the samples' own times: no `rate()`, no value filled in between. CPU of "
        "a case is the difference of the two samples that enclose it, that of a job without what is used at rest. "
        "`measurements.json` keeps them all."
    ),
    (
        "**Memory growth of a job** is the peak of service and media workers in `single_job` less the sample before "
        "it: what a job needs while it runs and what stays of it. Averages over jobs are beside it."
    ),
    (
        "**Leak**: Mann-Kendall with the variance of Hamed and Rao (first 3 lags), as memory is strongly correlated "
        "from sample to sample, and the slope after Theil and Sen with the same variance, both 95 %. In simulations "
        "with AR(1) noise (correlation 0.8, 4,000 series) the test alone finds a rise where there is none in 16 % of "
        "series of 18 samples and 11 % of 60, and a rise of a tenth of the innovations in 38 % and 93 %. So the rule "
        "also asks for a lower limit above the budget: with innovations of 0.3 MB a sample and 3.3 jobs a sample, it "
        "gave no false alarm in 300 series of 18 samples, and found all of 300 leaks of twice the budget."
    ),
    (
        "**Cost** is an estimate at list prices (ListCost), no bill. Marginal: what the jobs used. Fully loaded: CPU "
        "and memory by OpenCost's max(request, usage) for the length of the case; the machine's rest is idle and "
        "apart. Usage counts the good answers of providers."
    ),
    (
        "**Intervals** of hit rates are Wilson's, of differences of response times Welch's; questions of one job to "
        "the caches are not independent, so a repeated run may vary more. Totals of counters over jobs have none."
    ),
)


def build(evidence: Evidence, analysis: Analysis) -> Report:
    """The resources report as data."""
    return Report(
        name="resources_report",
        title=f"Resources report of run {evidence.run.run_id}",
        sections=(
            common.verdict(evidence, analysis, DIMENSION),
            _key_metrics(evidence),
            common.objectives(evidence, analysis),
            memory.section(evidence),
            cpu.section(evidence),
            network.section(evidence),
            pooling.section(evidence),
            caching.section(evidence),
            leak.section(evidence),
            cost.section(evidence),
            _baselines(evidence),
            recommendations.section(evidence),
            common.reconciliation(analysis),
            principles.section(evidence, analysis, DIMENSION),
            common.environment(evidence),
            common.workload(evidence, DIMENSION),
            common.method(evidence, *METHOD),
            common.queries(evidence, DIMENSION),
            _readings(evidence),
        ),
    )


def _key_metrics(evidence: Evidence) -> Section:
    held = evidence.measured("memory_per_job", memory.SINGLE)
    rate = caching.hit_rate(evidence)
    items = (
        f"Memory per job: **{text.amount(held.value)}** (peak less before, one job at a time, n = {held.n}; a "
        "maximum, so without an interval)."
        if held and held.value is not None
        else "Memory per job: no data.",
        f"CPU per job: {_cpu(evidence)}.",
        f"Bytes per job: {_bytes(evidence)}.",
        f"Cache hit rate: {text.quoted(rate) if rate else 'no data'}.",
        f"Cost per 1,000 jobs: {_cost(evidence)}.",
        *(f"Pooling: {found.sentence('Jobs', 'without it')}" for found in _pooled(evidence)),
    )
    off = common.switches_off(evidence)
    which = f" Baseline: without {' and '.join(off)}." if off else ""
    note = Paragraph(f"For a paper; cite them with environment, prices and method.{which}")
    return Section("Key metrics", (note, Bullets(items)))


def _pooled(evidence: Evidence) -> Iterator[Comparison]:
    found = compare(evidence, pooling.SCENARIO, pooling.POOLED, pooling.UNPOOLED)
    if found:
        yield found


def _cpu(evidence: Evidence) -> str:
    scenario = evidence.scenario(memory.SINGLE)
    for case in scenario.cases if scenario else []:
        each = job_seconds(evidence, memory.SINGLE, case) if case.started is not None else None
        if each is not None:
            jobs = len(evidence.case_jobs(memory.SINGLE, case.name))
            above = ", above what they use at rest" if idle_cores(evidence) is not None else ""
            return f"**{each:.3f} s** (service and media workers{above}, one at a time, n = {jobs} jobs)"
    return "no data"


def _bytes(evidence: Evidence) -> str:
    scenario = evidence.scenario(network.SCENARIO)
    for case in scenario.cases if scenario else []:
        found = traffic(evidence, network.SCENARIO, case)
        if found:
            return f"**{text.amount(found.total / found.jobs)}** (all peers, both directions, n = {found.jobs} jobs)"
    return "no data"


def _cost(evidence: Evidence) -> str:
    found = reference(evidence)
    if found is None:
        return "no data"
    scenario, case, one = found
    return (
        f"**{text.money(one.each * 1000)} {evidence.prices.currency}** (marginal, list prices, "
        f"{place_name(scenario, case.name)}, n = {one.completed} completed jobs)"
    )


def _baselines(evidence: Evidence) -> Section:
    """Every case that ran without an optimization, or with it, beside its counterpart."""
    pairs = (
        ("Caches, known prompts", caching.SCENARIO, caching.WARM, caching.COLD),
        ("Caches, half known", caching.SCENARIO, caching.HALF, caching.COLD),
        ("Pooled connections", pooling.SCENARIO, pooling.POOLED, pooling.UNPOOLED),
    )
    rows = []
    for what, scenario, case, baseline in pairs:
        found = compare(evidence, scenario, case, baseline)
        if found is None:
            continue
        rows.append(
            (
                what,
                f"{place_name(scenario, case)} against {baseline}",
                f"{found.case.n} and {found.baseline.n}",
                text.seconds(found.case.average),
                text.seconds(found.baseline.average),
                text.relative(found.case.average, found.baseline.average),
                f"{text.interval(found.difference, 'ms')}",
            )
        )
    blocks: list[Block] = []
    off = common.switches_off(evidence)
    if off:
        blocks.append(Paragraph(f"The whole run is a baseline: the service ran without {' and '.join(off)}."))
    if rows:
        columns = (
            "Optimization", "Cases", "n", "With [s]", "Without [s]", "Difference %", "95 % CI of the difference [ms]",
        )  # fmt: skip
        caption = "Average response time of completed jobs; interval of the difference of the means by Welch's t."
        blocks.append(Table(columns, tuple(rows), columns[2:], caption))
    if not blocks:
        blocks.append(Paragraph("No optimization ran beside its baseline."))
    return Section("Optimizations and baselines", tuple(blocks))


def _readings(evidence: Evidence) -> Section:
    """The raw samples with their selectors."""
    blocks: list[Block] = []
    for reading in evidence.catalogue.readings:
        rows = tuple(
            (
                place_name(
                    s.scenario, s.case, ", ".join(s.labels[name] for name in ("job", "type") if name in s.labels)
                ),
                text.count(len(s.values)),
                f"{s.instant:.3f}",
                f"`{s.query}`",
            )
            for s in evidence.series
            if s.reading == reading.id
        )
        if rows:
            blocks.append(Paragraph(f"**{reading.id}** ({reading.unit}): {reading.why}"))
            blocks.append(Table(("Where", "Samples", "Evaluated at", "Query"), rows, ("Samples", "Evaluated at")))
    if not blocks:
        blocks.append(Paragraph("No raw samples were read."))
    return Section("Appendix: raw samples", tuple(blocks))
