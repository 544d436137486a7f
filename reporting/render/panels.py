"""Drawings above one another with a common x axis, such as a run over time."""

from __future__ import annotations

import math
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from reelbench.reporting.document.report import Band, Chart, Panel, Series
from reelbench.reporting.render.palette import COLOURS, FAULT_COLOUR

HEIGHT = 1.05
"""Inches of a panel."""
NARROW = 0.05
"""Share of the x axis from which on a band has room for its name."""
TITLE_PAD = 34
"""Points between the title and the panel, for the names."""
LABEL_PAD = 36 / 72
"""Inches between a panel and the label of its y axis, with room for numbers of five digits: aligned without
matplotlib's `align_ylabels`, which measures the numbers of all panels for each of them."""
PART_COLOUR = "#5A6E82"


def draw(chart: Chart) -> Figure:
    """Draw the panels of a chart; bands are shaded through all of them and named above the first."""
    drawn = Figure(figsize=(7, 1.1 + HEIGHT * len(chart.panels)), layout="constrained")
    rows = drawn.subplots(len(chart.panels), 1, sharex=True, squeeze=False)[:, 0]
    ends = [x for panel in chart.panels for series in panel.series for x in series.xs]
    low, high = min(0.0, *ends), max(ends)
    for axes, panel in zip(rows, chart.panels, strict=True):
        _bands(axes, chart.bands)
        _lines(axes, panel)
        label_place = axes.transAxes + ScaledTranslation(-LABEL_PAD, 0, drawn.dpi_scale_trans)
        axes.yaxis.set_label_coords(0, 0.5, transform=label_place)
        axes.set_xlim(low, high)
    _names(rows[0], chart.bands, (low, high))
    rows[0].set_title(chart.title, loc="left", pad=TITLE_PAD)
    rows[-1].set_xlabel(chart.x_label)
    return drawn


def _lines(axes: Axes, panel: Panel) -> None:
    for series, colour in zip(panel.series, cycle(COLOURS), strict=False):
        (line,) = axes.plot(series.xs, series.ys, color=colour, linewidth=1.1, label=series.name)
        line.set(marker="o", markersize=1.6, markevery=_alone(series))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(panel.y_label, fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), borderaxespad=0.3)


def _bands(axes: Axes, bands: tuple[Band, ...]) -> None:
    parts = [band for band in bands if band.kind == "part"]
    for band in parts[::2]:
        axes.axvspan(band.begin, band.end, color=PART_COLOUR, alpha=0.1, linewidth=0)
    for band in bands:
        if band.kind == "fault":
            axes.axvspan(band.begin, band.end, color=FAULT_COLOUR, alpha=0.45, linewidth=0)


def _names(axes: Axes, bands: tuple[Band, ...], limits: tuple[float, float]) -> None:
    """Write the names of wide bands above the panel, turned so that neighbours do not overlap."""
    low, high = limits
    for band in bands:
        if band.kind == "part" and band.end - band.begin >= NARROW * (high - low):
            axes.annotate(
                band.name,
                (max(band.begin, low), 1.0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, 2),
                textcoords="offset points",
                rotation=25,
                rotation_mode="anchor",
                fontsize=6.5,
                parse_math=False,
            )


def _alone(series: Series) -> list[int]:
    """Return the points without a neighbour: no line shows them."""
    known = [not math.isnan(y) for y in (math.nan, *series.ys, math.nan)]
    return [i - 1 for i in range(1, len(known) - 1) if known[i] and not known[i - 1] and not known[i + 1]]
