"""The effect of the warm-up: the figures without the declared warm-up jobs beside those with them."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import Summary, summarize


def section(evidence: Evidence, dimension: str) -> Section:
    """Every case that has completed warm-up jobs."""
    rows = []
    for scenario, case in evidence.cases(dimension):
        measured = evidence.response_times(scenario.name, case.name)
        warm = [
            job.done - job.due
            for job in evidence.jobs
            if job.warmup and (job.scenario, job.case, job.outcome) == (scenario.name, case.name, Outcome.COMPLETED)
        ]
        without, both = summarize(measured), summarize(measured + warm)
        if warm and without and both:
            rows.append(_row(place_name(scenario.name, case.name), len(warm), without, both))
    if not rows:
        return Section("Warm-up", (Paragraph("No case has completed warm-up jobs beside its measured ones."),), level=3)
    columns = (
        "Scenario / case", "Warm-up jobs", "n", "Avg", "Avg with", "Change %", "P95", "P95 with", "Max", "Max with",
    )  # fmt: skip
    caption = (
        "Response time of completed jobs in seconds, without the warm-up jobs (as in every other table) and with them. "
        "How many jobs are warm-up is declared in the scenario file before the run, never chosen from what was "
        "measured. "
        r"\* n is too small for an upper limit of the 95 % interval."
    )
    return Section("Warm-up", (Table(columns, tuple(rows), columns[1:], caption),), level=3)


def _row(place: str, warm: int, without: Summary, both: Summary) -> tuple[str, ...]:
    return (
        place,
        text.count(warm),
        text.count(without.n),
        text.seconds(without.average),
        text.seconds(both.average),
        text.relative(both.average, without.average),
        text.tail(without.p95),
        text.tail(both.p95),
        text.seconds(without.maximum),
        text.seconds(both.maximum),
    )
