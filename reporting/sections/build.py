"""The reports: which sections each dimension has, in a reader's order, and what stands in the appendix of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document.report import APPENDIX, Report, Section
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections import (
    causes,
    clocks,
    generators,
    key_metrics,
    machine,
    outliers,
    over_time,
    principles,
    provenance,
    server_sources,
    user_indicators,
    verdict,
    video_files,
)
from reelbench.reporting.sections.performance import (
    capacity,
    load,
    mlperf,
    open_loop,
    parts_of_a_job,
    scalability,
    server,
    server_answers,
    videos,
)
from reelbench.reporting.sections.recommendations import recommend
from reelbench.reporting.sections.reliability import (
    breaker,
    outcomes,
    outside_faults,
    retries,
    score,
    stored_jobs,
    unusual_load,
)
from reelbench.reporting.sections.reliability import recommendations as hardening
from reelbench.reporting.sections.reliability import server as server_reliability
from reelbench.reporting.sections.resources import (
    caching,
    cost,
    cpu,
    memory,
    network,
    optimizations,
    server_energy,
)
from reelbench.reporting.sections.resources import recommendations as saving
from reelbench.reporting.sections.resources import server as server_resources

SectionFunction = Callable[[Evidence], Section | None]
"""One section of a report; None leaves it out."""


class Plan(msgspec.Struct, frozen=True):
    """What a report has of its own, between the sections that every report has, and its part of the appendix."""

    advice: SectionFunction
    key_metrics: SectionFunction
    sections: tuple[SectionFunction, ...]
    details: tuple[SectionFunction, ...] = ()
    """For the appendix."""
    method: tuple[str, ...] = ()
    own_method: tuple[str, ...] = ()
    """Sentences on the method that hold only for the service of this project."""


def _ours(section: SectionFunction) -> SectionFunction:
    """Return a section that needs the metrics of the service of this project: left out for any other server."""
    return lambda evidence: None if evidence.foreign else section(evidence)


def _alone(section: SectionFunction) -> SectionFunction:
    """Return a section of the resources report, for a run without one."""
    return lambda evidence: None if evidence.scenarios(Dimension.RESOURCES) else section(evidence)


PLANS = {
    Dimension.PERFORMANCE: Plan(
        scalability.recommendations,
        key_metrics.performance,
        (
            mlperf.section,
            load.response_time,
            load.concurrent_load,
            scalability.section,
            load.throughput,
            open_loop.section,
            capacity.section,
            videos.section,
            partial(video_files.section, dimension=Dimension.PERFORMANCE),
            partial(videos.caching_check, dimension=Dimension.PERFORMANCE),
            parts_of_a_job.api_latency,
            parts_of_a_job.stages,
            parts_of_a_job.critical_path,
            server.section,
            _alone(server_resources.process),
            _alone(server_resources.gpu),
            _alone(server_energy.section),
            partial(outliers.section, dimension=Dimension.PERFORMANCE),
        ),
        details=(
            load.percentiles,
            load.warmup,
            load.check_of_littles_law,
            server_answers.section,
            parts_of_a_job.critical_path_details,
            partial(outliers.traces, dimension=Dimension.PERFORMANCE),
        ),
    ),
    Dimension.RELIABILITY: Plan(
        hardening.recommendations,
        key_metrics.reliability,
        (
            outcomes.success_rate,
            retries.section,
            breaker.section,
            outside_faults.section,
            unusual_load.section,
            stored_jobs.store_outage,
            outcomes.partial_failures,
            outcomes.cancellation,
            stored_jobs.integrity,
            partial(video_files.section, dimension=Dimension.RELIABILITY),
            server_reliability.section,
            partial(outliers.section, dimension=Dimension.RELIABILITY),
            score.section,
        ),
        details=(partial(outliers.traces, dimension=Dimension.RELIABILITY),),
        own_method=(
            (
                "**Times of recovery** come from recorded events (fault confirmed on and lifted, changes of the "
                "breaker's state, ends of jobs), never from scraped state, which misses short states. An outage "
                "without recovery within the case is censored: it is reported, counted and left out of the mean, which "
                "is then a lower limit."
            ),
            (
                "**Calls while the breaker is open** are counted at the provider. A call is a violation when it was "
                "sent between an opening and the next probe and arrived in between; a call without a time of sending "
                "counts as a violation."
            ),
        ),
        method=(
            (
                "**Intervals** of shares are exact (Clopper and Pearson), of means Student's t, of differences of "
                "means Welch's t; all 95 %, two-sided."
            ),
        ),
    ),
    Dimension.RESOURCES: Plan(
        _ours(partial(recommend, saving.RULES)),
        key_metrics.resources,
        (
            server_resources.process,
            server_resources.gpu,
            server_energy.section,
            server_resources.unknown,
            _ours(memory.section),
            _ours(cpu.section),
            _ours(network.section),
            _ours(optimizations.pooling),
            _ours(caching.section),
            partial(videos.caching_check, dimension=Dimension.RESOURCES),
            _ours(memory.leak_section),
            _ours(cost.section),
            _ours(optimizations.section),
        ),
        method=(
            (
                "**Memory and CPU** are read from the raw samples that Prometheus stored, from the cooldown before "
                "each case to the cooldown after it, with the samples' own times: no `rate()`, no interpolation. CPU "
                "of a case is the difference of the two samples that enclose it, CPU of a job is without idle use. "
                "`measurements.json` keeps all samples."
            ),
            (
                "**Memory growth of a job** is the peak of service and media workers with one job at a time, minus the "
                "sample before: what a job needs while it runs and what remains of it."
            ),
            (
                "**Leak**: Mann-Kendall with the variance of Hamed and Rao (first 3 lags), as memory is strongly "
                "correlated from sample to sample, and the slope after Theil and Sen with the same variance, both "
                "95 %. In simulations with AR(1) noise (correlation 0.8, 4,000 series) the test alone finds a false "
                "rise in 16 % of series of 18 samples and 11 % of 60, and a rise of a tenth of the innovations in 38 % "
                "and 93 %. The rule therefore also asks for a lower limit above the budget: with innovations of 0.3 MB "
                "a sample and 3.3 jobs a sample, it gave no false alarm in 300 series of 18 samples, and found all of "
                "300 leaks of twice the budget."
            ),
            (
                "**Cost** is an estimate at list prices (ListCost). Marginal: resources used by the jobs. Fully "
                "loaded: CPU and memory by OpenCost's max(request, usage) for the length of the case; the idle rest of "
                "the machine is reported separately. Usage counts successful answers of providers."
            ),
            (
                "**Intervals** of differences of response times are Welch's. Hit rates have none, as the plan fixes "
                "which prompts are known; totals of counters over jobs have none either."
            ),
        ),
        details=(provenance.raw_samples,),
    ),
}


def build_report(evidence: Evidence, analysis: Analysis, dimension: Dimension) -> Report:
    """Return the report of a dimension as data: verdict, why, what to do, then the sections."""
    plan = PLANS[dimension]
    sections = (
        verdict.verdict(evidence, analysis, dimension),
        causes.section(evidence, analysis, dimension),
        plan.advice(evidence),
        over_time.section(evidence, dimension),
        plan.key_metrics(evidence),
        verdict.objectives(evidence, analysis, dimension),
        *(section(evidence) for section in plan.sections),
        user_indicators.section(evidence, dimension),
        provenance.reconciliation(analysis, dimension),
    )
    return Report(
        name=f"{dimension}_report",
        title=f"{dimension.capitalize()} report of run {evidence.run.run_id}",
        sections=tuple(section for section in sections if section is not None),
    )


def build_appendix(evidence: Evidence, analyses: Mapping[Dimension, Analysis]) -> Report:
    """Return what stands once for all reports of a run: environment, method, workload, counts, traces, queries."""
    plans = {dimension: PLANS[dimension] for dimension in analyses}
    own = [sentence for plan in plans.values() for sentence in (() if evidence.foreign else plan.own_method)]
    method = dict.fromkeys([*own, *(sentence for plan in plans.values() for sentence in plan.method)])
    sections = [
        provenance.environment(evidence),
        machine.section(evidence, *analyses),
        clocks.section(evidence, *analyses),
        provenance.method(evidence, *method),
    ]
    for dimension, analysis in analyses.items():
        found = (
            provenance.workload(evidence, dimension),
            generators.section(evidence, dimension),
            server_sources.section(evidence, dimension),
            principles.section(evidence, analysis, dimension),
            provenance.counts(evidence, analysis, dimension),
            *(section(evidence) for section in plans[dimension].details),
            provenance.queries(evidence, dimension),
        )
        sections += [
            msgspec.structs.replace(one, title=f"{dimension.capitalize()}: {one.title}", level=2)
            for one in found
            if one is not None
        ]
    return Report(APPENDIX, f"Appendix of run {evidence.run.run_id}", tuple(sections))
