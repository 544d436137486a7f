"""The effect of the warm-up: figures without the declared warm-up jobs, and with them."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import summarize


def section(evidence: Evidence) -> Section:
    """Return the figures of every case that has completed warm-up jobs."""
    rows = []
    for scenario, case in evidence.cases(Dimension.PERFORMANCE):
        measured = evidence.response_times(scenario.name, case.name)
        warm = [
            job.done - job.due
            for job in evidence.jobs
            if job.warmup and (job.scenario, job.case, job.outcome) == (scenario.name, case.name, Outcome.COMPLETED)
        ]
        without, both = summarize(measured), summarize(measured + warm)
        if not warm or without is None or both is None:
            continue
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(len(warm)),
                text.count(without.n),
                text.seconds(without.average),
                text.seconds(both.average),
                text.relative(both.average, without.average),
                text.tail(without.p95),
                text.tail(both.p95),
                text.seconds(without.maximum),
                text.seconds(both.maximum),
            )
        )
    if not rows:
        return Section("Warm-up", (Paragraph("No case has completed both warm-up and measured jobs."),), level=3)
    columns = (
        "Scenario / case", "Warm-up jobs", "n", "Avg", "Avg with", "Change %", "P95", "P95 with", "Max", "Max with",
    )  # fmt: skip
    caption = (
        "Response time of completed jobs in seconds, without the warm-up jobs (as in every other table) and with them. "
        "The number of warm-up jobs is declared in the scenario file before the run. "
        r"\* n is too small for an upper limit of the 95 % interval."
    )
    return Section("Warm-up", (Table(columns, tuple(rows), columns[1:], caption),), level=3)
