"""Charts as SVG and PDF, drawn without pyplot: no global state, no window system, the same bytes each time.

Importing this module imports matplotlib, which takes about a second: a report without charts must not.
"""

from __future__ import annotations

import io
import math
from itertools import cycle
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

from reelbench.reporting.document.report import Chart, Timeline
from reelbench.reporting.render import panels
from reelbench.reporting.render.palette import COLOURS, DASHES, FAULT_COLOUR, LIMIT_COLOUR, MARKERS, STACK_COLOURS

SETTINGS: dict[Any, Any] = {  # matplotlib types the keys as one literal of 300 names
    "svg.hashsalt": "reelbench",  # element ids are derived from it, not random
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "svg.fonttype": "none",  # text stays text: small, searchable files
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the layout does not depend on the machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def figure(chart: Chart | Timeline) -> Figure:
    """Draw a chart."""
    with rc_context(SETTINGS):
        if isinstance(chart, Timeline):
            return _timeline(chart)
        return panels.draw(chart) if chart.kind == "panels" else _chart(chart)


def svg(chart: Chart | Timeline) -> bytes:
    """Return a chart as an SVG file; equal charts give equal bytes."""
    return _file(chart, "svg", "Date")


def pdf(chart: Chart | Timeline) -> bytes:
    """Return a chart as a PDF file; equal charts give equal bytes."""
    return _file(chart, "pdf", "CreationDate")


def _file(chart: Chart | Timeline, form: str, dated: str) -> bytes:
    buffer = io.BytesIO()
    with rc_context(SETTINGS):
        figure(chart).savefig(buffer, format=form, metadata={dated: None})
    return buffer.getvalue()


def _chart(chart: Chart) -> Figure:
    rows = {"stacked": 0.28, "intervals": 0.34}.get(chart.kind, 0.0) * len(chart.labels)
    height = 1.4 + rows if chart.kind == "intervals" else max(3.8, 1.4 + rows)
    drawn = Figure(figsize=(7, height), layout="constrained")
    axes = drawn.add_subplot()
    draw = {"bars": _bars, "stacked": _stacked, "steps": _steps, "intervals": _intervals}.get(chart.kind, _lines)
    draw(axes, chart)
    axes.set_title(chart.title, loc="left")
    axes.set_xlabel(f"{chart.x_label} (logarithmic)" if chart.kind == "line" else chart.x_label)
    axes.set_ylabel(chart.y_label)
    if chart.limit:
        name, value = chart.limit
        across = axes.axvline if chart.kind in {"bars", "steps", "intervals"} else axes.axhline
        across(value, color=LIMIT_COLOUR, linestyle="--", linewidth=1, label=name)
    if chart.span:
        name, start, end = chart.span
        axes.axvspan(start, end, color=FAULT_COLOUR, alpha=0.45, linewidth=0, label=name)
    if chart.kind in {"line", "scatter", "time"}:
        axes.set_ylim(bottom=0)  # after the objective, which must be visible
    if chart.kind in {"stacked", "intervals", "time"} or chart.span:
        drawn.legend(frameon=False, loc="outside lower center", ncols=4, fontsize=8)  # covers neither points nor title
    elif chart.kind == "steps" and len(chart.series) > 1:
        drawn.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=8)
    elif len(chart.series) > 1 or chart.limit:
        axes.legend(frameon=False)
    return drawn


def _steps(axes: Axes, chart: Chart) -> None:
    for series, colour, dashes in zip(chart.series, cycle(COLOURS), cycle(DASHES), strict=False):
        axes.step(series.xs, series.ys, where="post", color=colour, linestyle=dashes, label=series.name)
    _grid(axes)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)


def _lines(axes: Axes, chart: Chart) -> None:
    for series, colour, marker in zip(chart.series, cycle(COLOURS), cycle(MARKERS), strict=False):
        if chart.kind == "scatter":
            axes.plot(series.xs, series.ys, color=colour, marker=marker, markersize=3, linestyle="", label=series.name)
            continue
        fitted = chart.kind == "time" and len(series.xs) == 2  # noqa: PLR2004 - a fitted line has no samples to mark
        marked = "" if fitted or series.draw == "curve" else marker
        joined = "" if series.draw == "points" else "-"
        axes.plot(series.xs, series.ys, color=colour, marker=marked, linestyle=joined, label=series.name)
        if series.errors:
            below, above = zip(*series.errors, strict=True)
            axes.errorbar(
                series.xs, series.ys, yerr=(below, above), fmt="none", ecolor=colour, elinewidth=1, capsize=3, alpha=0.7
            )
    _grid(axes)
    if chart.kind in {"time", "scatter"}:
        return
    levels = sorted({x for series in chart.series if series.draw != "curve" for x in series.xs})
    axes.set_xscale("log")  # separates levels such as 1, 5, 10, 20, 50
    axes.xaxis.set_major_locator(FixedLocator(levels))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))


def _bars(axes: Axes, chart: Chart) -> None:
    height = 0.8 / len(chart.series)
    positions = range(len(chart.labels))
    for number, (series, colour) in enumerate(zip(chart.series, cycle(COLOURS), strict=False)):
        offset = (number - (len(chart.series) - 1) / 2) * height
        places = [position + offset for position in positions]
        axes.barh(places, series.ys, height, color=colour, label=series.name)
        ends = (
            [y + above for y, (_, above) in zip(series.ys, series.errors, strict=True)] if series.errors else series.ys
        )
        for value, end, place in zip(series.ys, ends, places, strict=True):
            axes.annotate(  # after the spread, which would cross the number out
                f"{value:.3g}", (end, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
        if series.errors:
            below, above = zip(*series.errors, strict=True)
            axes.errorbar(
                series.ys, places, xerr=(below, above), fmt="none", ecolor=LIMIT_COLOUR, elinewidth=1, capsize=2
            )
    _labelled(axes, chart)
    axes.margins(x=0.12)
    axes.set_xlim(left=0)


def _intervals(axes: Axes, chart: Chart) -> None:
    """A point with its interval in a row for each label; series of points alone stand in the same rows.

    A series without a value keeps its colour and is not in the legend; series of one name are there once.
    """
    named: set[str] = set()
    for series, colour, marker in zip(chart.series, cycle(COLOURS), cycle(MARKERS), strict=False):
        rows = [row for row, value in enumerate(series.ys) if not math.isnan(value)]
        values = [series.ys[row] for row in rows]
        name = None if series.name in named or not rows else series.name
        named |= {series.name} if rows else set()
        if series.draw == "points":
            axes.plot(values, rows, color=LIMIT_COLOUR, marker="|", linestyle="", markersize=9, label=name)
        elif rows:
            errors = list(zip(*(series.errors[row] for row in rows), strict=True))
            axes.errorbar(values, rows, xerr=errors, fmt=marker, color=colour, markersize=5, capsize=3, label=name)
    _labelled(axes, chart)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(len(chart.labels) - 0.4, -0.6)


def _stacked(axes: Axes, chart: Chart) -> None:
    """A bar for each label, made of a piece for each series."""
    positions = range(len(chart.labels))
    begin = [0.0] * len(chart.labels)
    for series, colour in zip(chart.series, cycle(STACK_COLOURS), strict=False):
        axes.barh(
            positions, series.ys, 0.7, left=begin, color=colour, edgecolor="white", linewidth=0.5, label=series.name
        )
        begin = [at + length for at, length in zip(begin, series.ys, strict=True)]
    _labelled(axes, chart)


def _labelled(axes: Axes, chart: Chart) -> None:
    axes.set_yticks(range(len(chart.labels)), chart.labels)
    axes.invert_yaxis()  # the first label on top
    _grid(axes, "x")


def _grid(axes: Axes, axis: Literal["both", "x"] = "both") -> None:
    axes.grid(visible=True, axis=axis, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _timeline(chart: Timeline) -> Figure:
    drawn = Figure(figsize=(7, 3.8), layout="constrained")
    rows = (3, len(chart.ticks)) if chart.ticks else (1,)
    rows_of_axes = drawn.subplots(len(rows), 1, sharex=True, height_ratios=rows, squeeze=False)[:, 0]
    upper, lowest = rows_of_axes[0], rows_of_axes[-1]
    for axes in rows_of_axes:
        for number, (start, end) in enumerate(chart.spans):
            name = chart.span_name if number == 0 else None
            axes.axvspan(start, end, color=FAULT_COLOUR, alpha=0.45, linewidth=0, label=name)
        _grid(axes, "x")
    upper.step(chart.states.xs, chart.states.ys, where="post", color=COLOURS[0], label=chart.states.name)
    upper.set_yticks(range(len(chart.levels)), chart.levels)
    upper.set_ylim(-0.25, len(chart.levels) - 0.75)
    upper.set_title(chart.title, loc="left")
    drawn.legend(*upper.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    for number, series in enumerate(chart.ticks):
        lowest.eventplot(series.xs, lineoffsets=number, linelengths=0.7, linewidths=0.8, colors=COLOURS[number % 4])
    if chart.ticks:
        lowest.set_yticks(range(len(chart.ticks)), [series.name for series in chart.ticks])
        lowest.set_ylim(len(chart.ticks) - 0.4, -0.6)
    lowest.set_xlim(chart.states.xs[0], chart.states.xs[-1])
    lowest.set_xlabel(chart.x_label)
    return drawn
