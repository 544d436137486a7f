"""Figures of the reports about several runs: differences with their intervals, distributions, and runs over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from reelbench.reporting.analysis.timeline import Timeline
from reelbench.reporting.catalogue.sli import Samples
from reelbench.reporting.compare.records import ComparisonRecord, Finding, Verdict
from reelbench.reporting.compare.side import Side
from reelbench.reporting.document.report import Band, Chart, Panel, Series
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.results.comparison_data import ComparisonData

CLEAR: Final = (Verdict.WORSE, Verdict.BETTER, Verdict.DIFFERS)
GROUPS: Final = (*(verdict.value for verdict in (Verdict.NOT_SHOWN, *CLEAR)), Verdict.CANNOT_TELL.value)
"""Series of the figures of differences, in the order of their colours."""
ROWS: Final = 12
LEAST_ROWS: Final = 6
"""Rows that are filled with indicators without a clear difference."""
POINTS: Final = 400
"""Steps of a distribution."""
PER_CENT: Final = "Difference [% of the baseline; shares: percentage points]"
_LINES: Final = (
    ("response_time", "p95", "P95 [s]"),
    ("jobs", "completions", "Completions\n[jobs/s]"),
    ("in_flight", "in_flight", "Jobs in\nflight"),
)
"""Panel, line and label of the figure over time."""


class Row(msgspec.Struct, frozen=True):
    """A difference with its interval, in a figure's unit."""

    label: str
    group: str
    """Name of its series."""
    value: float
    lower: float
    upper: float


def intervals(
    name: str, rows: Sequence[Row], groups: Sequence[str], *, title: str, x_label: str, caption: str
) -> tuple[Chart, ...]:
    """Return a figure with a row for each difference; nothing without rows.

    Args:
        name: Name of the figure's file.
        rows: The differences, the first one on top.
        groups: Names of the series in order, so each has its colour in every figure.
        title: Title of the figure.
        x_label: Label of the axis.
        caption: Caption of the figure.
    """
    if not rows:
        return ()
    series = (
        Series(
            group,
            xs=tuple(float(number) for number in range(len(rows))),
            ys=tuple(row.value if row.group == group else math.nan for row in rows),
            errors=tuple(
                (max(row.value - row.lower, 0.0), max(row.upper - row.value, 0.0)) if row.group == group else (0.0, 0.0)
                for row in rows
            ),
        )
        for group in groups
    )
    labels = tuple(row.label for row in rows)
    limit = ("no difference", 0.0)
    return (Chart(name, "intervals", title, x_label, "", tuple(series), caption, labels, limit),)


def changes(comparison: ComparisonRecord) -> tuple[Chart, ...]:
    """Return the largest difference of each cause, and where these are few, of indicators that show none."""
    leads = [cause.lead for verdict in CLEAR for cause in comparison.causes(verdict)]
    others = [f for f in comparison.findings if f.verdict is Verdict.NOT_SHOWN and f.test and not f.follows]
    others.sort(key=lambda finding: finding.size, reverse=True)
    rest = [f for f in comparison.findings if f.verdict in CLEAR and not f.follows and f not in leads]
    rows = rows_of(leads)[:ROWS]
    rows += rows_of([*others, *rest])[: max(LEAST_ROWS - len(rows), 0)]
    caption = (
        "The largest difference of each cause with its 95 % interval, then the largest of other indicators. An "
        "interval that contains zero shows no difference."
    )
    return intervals("comparison_changes", rows, GROUPS, title="Largest differences", x_label=PER_CENT, caption=caption)


def rows_of(findings: Iterable[Finding], before: str = "") -> list[Row]:
    """Return a row for each finding whose difference has both limits."""
    rows = []
    for one in findings:
        share = one.relative is None
        interval = one.interval if share else one.relative_interval
        value = one.difference if share else one.relative
        if value is None or interval.lower is None or interval.upper is None or (share and one.unit != "ratio"):
            continue
        label = f"{before}{one.title}\n{one.place}"
        rows.append(Row(label, one.verdict.value, value * 100, interval.lower * 100, interval.upper * 100))
    return rows


def most_changed(comparison: ComparisonRecord, side: Side) -> tuple[str, str] | None:
    """Return scenario and case whose response time changed most, else those with the most jobs; None without any."""
    samples = {sli.id for sli in side.runs[0].catalogue.slis if sli.samples is Samples.RESPONSE_TIMES}
    found = [f for f in comparison.findings if f.sli in samples and f.relative is not None]
    if not found:
        return None
    chosen = max(found, key=lambda f: (f.verdict in CLEAR, f.size if f.verdict in CLEAR else f.n_run or 0))
    return chosen.scenario, chosen.case


def distribution(place: tuple[str, str] | None, run: Side, baseline: Side) -> tuple[Chart, ...]:
    """Return the response times of both sides in a case."""
    if place is None:
        return ()
    series = []
    for name, side in (("run", run), ("baseline", baseline)):
        times = np.sort(np.asarray([time for one in side.runs for time in one.response_times(*place)]))
        ranks = sorted({round(rank) for rank in np.linspace(1, len(times), min(POINTS, len(times)))})
        shares = tuple(rank / len(times) for rank in ranks)
        first = float(times[0]) if len(times) else 0.0
        series.append(
            Series(f"{name} (n = {len(times):,})", (first, *(float(times[rank - 1]) for rank in ranks)), (0.0, *shares))
        )
    if any(len(one.xs) == 1 for one in series):
        return ()
    return (
        Chart(
            "comparison_distribution",
            "steps",
            f"Response times, {place_name(*place)}",
            "Response time [s]",
            "Share of completed jobs",
            tuple(series),
            "Empirical distribution of the response times of all runs of a side. The line further left is the faster "
            "side.",
        ),
    )


def over_time(data: ComparisonData) -> tuple[Chart, ...]:
    """Return the whole first runs of both sides, each from its own start."""
    timelines = [(name, one) for name, one in zip((data.run, data.baseline), data.timelines, strict=True) if one]
    panels = []
    for panel, line, label in _LINES:
        series = tuple(_line(name, one, panel, line) for name, one in timelines)
        if any(not math.isnan(y) for one in series for y in one.ys):
            panels.append(Panel(label, series))
    if not panels:
        return ()
    bands = tuple(
        Band("part", shade.name, shade.begin, shade.end) for shade in timelines[0][1].shades if shade.kind == "scenario"
    )
    return (
        Chart(
            "comparison_over_time",
            "panels",
            "Both runs over time",
            "Time since the start of each run [s]",
            "",
            (),
            "The first run of each side, each from its own start. Scenarios of the run are shaded; those of the "
            "baseline begin later where the run is faster.",
            panels=tuple(panels),
            bands=bands,
        ),
    )


def _line(name: str, timeline: Timeline, panel: str, line: str) -> Series:
    values = next(
        (s.values for p in timeline.panels if p.id == panel for s in p.series if s.id == line), (None,) * timeline.bins
    )
    xs = tuple((number + 0.5) * timeline.step for number in range(len(values)))
    return Series(name, xs, tuple(math.nan if value is None else value for value in values))
