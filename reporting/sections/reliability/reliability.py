"""The reliability report."""

from __future__ import annotations

from reelbench.reporting.analysis.outages import outages, recovery
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Bullets, Paragraph, Report, Section
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections import common, outliers, principles
from reelbench.reporting.sections.reliability import (
    breaker,
    cancellation,
    integrity,
    partial_failures,
    recommendations,
    retries,
    score,
    store_outage,
    success,
)
from reelbench.reporting.sections.reliability.success import DIMENSION

METHOD = (
    (
        "**Times of recovery** come from recorded events (fault confirmed on and lifted, changes of the breaker's "
        "state, ends of jobs), never from scraped state, which misses short states. An outage that was not recovered "
        "from within the case is censored: it is named, counted and left out of the mean, which is then a lower limit."
    ),
    (
        "**Calls while the breaker is open** are counted at the provider. A call is a violation when it was sent "
        "between an opening and the next probe and arrived in between; one without a time of sending counts as a "
        "violation."
    ),
    (
        "**Intervals** of losses, duplicates, corruption and leftovers are exact (Clopper and Pearson), of other "
        "shares Wilson's, of means Student's t, of differences of means Welch's t; all 95 %, two-sided."
    ),
)


def build(evidence: Evidence, analysis: Analysis) -> Report:
    """The reliability report as data."""
    return Report(
        name="reliability_report",
        title=f"Reliability report of run {evidence.run.run_id}",
        sections=(
            common.verdict(evidence, analysis, DIMENSION),
            _key_metrics(evidence),
            common.objectives(evidence, analysis),
            success.section(evidence),
            retries.section(evidence),
            breaker.section(evidence),
            store_outage.section(evidence),
            partial_failures.section(evidence),
            cancellation.section(evidence),
            integrity.section(evidence),
            outliers.section(evidence, DIMENSION),
            score.section(evidence),
            recommendations.section(evidence),
            common.reconciliation(analysis),
            principles.section(evidence, analysis, DIMENSION),
            common.environment(evidence),
            common.workload(evidence, DIMENSION),
            common.method(evidence, *METHOD),
            common.queries(evidence, DIMENSION),
        ),
    )


def _key_metrics(evidence: Evidence) -> Section:
    normal = success.success(evidence, success.NORMAL)
    saved = retries.recovered(evidence, retries.SCENARIO, retries.PROVIDER)
    mttr = recovery(outages(evidence, breaker.SCENARIO))
    nothing = f"no data{', the breaker was off' if evidence.switched_off('breaker') else ''}"
    items = (
        f"Success rate in normal operation: {text.quoted(normal) if normal else 'no data'}.",
        f"MTTR of an LLM outage: {breaker.mean_time(mttr) if mttr else nothing}.",
        f"Recovery rate of transient failures: {text.quoted(saved) if saved else 'no data'}.",
    )
    off = common.switches_off(evidence)
    which = f" Baseline: without {' and '.join(off)}." if off else ""
    note = Paragraph(f"For a paper; cite them with environment and method.{which}")
    return Section("Key metrics", (note, Bullets(items)))
