"""Figures shaped like those of MLPerf Inference: an early-stopping percentile, and samples per second."""

from __future__ import annotations

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name
from reelbench.reporting.statistics import early_stopping

PROFILE = "mlperf-like"
QUANTILES = (0.90, 0.95, 0.99)
NO_RESULT = (
    "**This is no MLPerf result.** The load has the shape of MLPerf Inference's text-to-video scenarios (v6.0: 81 "
    "frames of 1280x720 at 16 fps, 20 steps, seed 42). The prompts are this project's own, MLPerf's LoadGen did not "
    "send them, no accuracy was checked, and MLCommons reviewed nothing."
)


def section(evidence: Evidence) -> Section | None:
    """Return the figures of the profile; None for a run of another profile."""
    if evidence.run.profile != PROFILE:
        return None
    cases = evidence.cases(Dimension.PERFORMANCE)
    rows = tuple(row for scenario, case in cases for row in _rows(evidence, scenario, case))
    caption = (
        "Single stream: the early-stopping estimate, which lies above the true percentile with 99 % confidence "
        "(MLCommons, Inference rules). Offline: completed jobs over the length of the case."
    )
    table = Table(("Case", "Figure", "Value", "n", "Rule"), rows, ("Value", "n"), caption)
    return Section("Figures shaped like MLPerf", (Paragraph(NO_RESULT), table))


def _rows(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> list[tuple[str, ...]]:
    place = place_name(scenario.name, case.name)
    times = evidence.whole_times(scenario.name, case.name)
    failed = len(evidence.case_jobs(scenario.name, case.name)) - len(times)
    length = case_seconds(case)
    n = text.count(len(times)) + (f" ({failed} failed)" if failed else "")
    if case.concurrency > 1:
        rate = len(times) / length if length else None
        return [(place, "samples per second", text.number(rate, 4), n, "all queries sent at once")]
    rows: list[tuple[str, ...]] = []
    for quantile in QUANTILES:
        value = early_stopping.estimate(times, quantile)
        least = early_stopping.needed(quantile)
        rule = f"n ≥ {least}" if value is not None else f"no estimate: needs n ≥ {least}"
        rows.append((place, f"P{quantile * 100:.0f} latency [s]", text.number(value, 3), n, rule))
    if case.min_duration is not None:
        held = length is not None and length >= case.min_duration
        rule = f"≥ {case.min_duration:g} s" if held else f"**below {case.min_duration:g} s**"
        rows.append((place, "length of the case [s]", text.number(length, 1), n, rule))
    return rows
