"""The run over time: one figure of all scenarios of a dimension, the first of its report."""

from __future__ import annotations

import math

from reelbench.reporting.analysis.run_timeline import dimension_timeline
from reelbench.reporting.analysis.timeline import Timeline, TimePanel
from reelbench.reporting.document.report import Band, Chart, Panel, Section, Series
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence

POINTS = 300
"""Points of a line: more cannot be seen on paper."""
PANELS = ("response_time", "jobs", "in_flight", "queue", "server_jobs", "gpu_utilisation", "cpu", "memory")
"""Panels of the figure; the page has all."""
LABELS = {
    "response_time": "Response [s]",
    "jobs": "Jobs/s",
    "in_flight": "In flight",
    "queue": "Accepted",
    "server_jobs": "At server",
    "gpu_utilisation": "GPU [%]",
    "cpu": "CPU [cores]",
    "memory": "Memory [MB]",
}


def section(evidence: Evidence, dimension: Dimension) -> Section | None:
    """Return the figure over the scenarios of a dimension; None when none of them has begun."""
    timeline = dimension_timeline(evidence, dimension, POINTS)
    if timeline is None:
        return None
    drawn = tuple(panel for one in timeline.panels if one.id in PANELS and (panel := _panel(timeline, one)))
    if not drawn:
        return None
    bands = tuple(
        Band("part" if shade.kind == "scenario" else "fault", shade.name, shade.begin, shade.end)
        for shade in timeline.shades
        if shade.kind in {"scenario", "fault"}
    )
    chart = Chart(
        name=f"{dimension}_over_time",
        kind="panels",
        title=f"The run over time: {dimension} scenarios",
        x_label=f"Seconds since the first {dimension} scenario began",
        y_label="",
        series=(),
        caption=_caption(timeline, faults=any(band.kind == "fault" for band in bands)),
        panels=drawn,
        bands=bands,
    )
    return Section("The run over time", (chart,))


def _panel(timeline: Timeline, panel: TimePanel) -> Panel | None:
    xs = tuple((i + 0.5) * timeline.step for i in range(timeline.bins))
    lines = []
    for series in panel.series:
        ys = tuple(math.nan if value is None else value for value in series.values)
        if any(ys) and not all(math.isnan(y) for y in ys):  # a line that is zero throughout shows nothing
            lines.append(Series(series.name, xs, ys, draw="curve"))
    return Panel(LABELS[panel.id], tuple(lines)) if lines else None


def _caption(timeline: Timeline, *, faults: bool) -> str:
    fault = " Faults are yellow." if faults else ""
    return (
        f"One point for each {timeline.step:g} s, warm-up included. Response times are those of jobs that completed in "
        "it; jobs in flight are a mean; CPU and memory are shown where they were read. Scenarios are shaded in turn; "
        f"lines that are zero throughout are left out.{fault}"
    )
