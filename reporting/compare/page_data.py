"""Data of the page of a comparison, from the records of both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from reelbench.reporting.analysis.bins import short
from reelbench.reporting.analysis.run_timeline import case_timeline, run_timeline
from reelbench.reporting.analysis.timeline import Timeline, TimePanel, TimeSeries
from reelbench.reporting.compare.side import Side
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.results.comparison_data import ComparedCase, ComparisonData, Percentiles
from reelbench.reporting.statistics.intervals import percentile

LEVELS: Final = (1, 2.5, *range(5, 100, 5), 97.5, 99)
"""Percentiles of the chart, in per cent."""
CASE_BINS: Final = 100
"""Bins of a case, of which a page has dozens with two lines each."""
PANELS: Final = ("response_time", "jobs", "in_flight", "queue")
"""Panels of a case."""
WHOLE: Final = PANELS[:3]
"""Panels of the whole run."""
NAMES: Final = ("run", "baseline")


def comparison_data(
    run: Side, baseline: Side, names: tuple[str, str] = NAMES, first: tuple[str, str] | None = None
) -> ComparisonData:
    """Return the data of the page; where a side has several runs, time axes show its first one.

    Args:
        run: The side that is judged.
        baseline: The side that it is compared with.
        names: Names of both sides in charts.
        first: Scenario and case that are shown first.
    """
    sides = run, baseline
    places = dict.fromkeys((job.scenario, job.case) for side in sides for one in side.runs for job in one.jobs)
    return ComparisonData(
        run=names[0],
        baseline=names[1],
        levels=tuple(float(level) for level in LEVELS),
        first=list(places).index(first) if first in places else 0,
        cases=tuple(_case(sides, names, *place) for place in places),
        timelines=_whole(run.runs[0], baseline.runs[0]),
    )


def _case(sides: tuple[Side, Side], names: tuple[str, str], scenario: str, case: str) -> ComparedCase:
    mine, theirs = (_percentiles(side, scenario, case) for side in sides)
    timeline = _overlaid(sides[0].runs[0], sides[1].runs[0], names, (scenario, case))
    return ComparedCase(scenario, case, mine, theirs, timeline)


def _percentiles(side: Side, scenario: str, case: str) -> Percentiles | None:
    runs = [np.sort(np.asarray(times)) for one in side.runs if (times := one.response_times(scenario, case))]
    if not runs:
        return None
    every = np.sort(np.concatenate(runs))
    found = [percentile(every, level / 100) for level in LEVELS]
    lower: tuple[float | None, ...] = tuple(one.interval.lower for one in found)
    upper: tuple[float | None, ...] = tuple(one.interval.upper for one in found)
    if len(runs) > 1:  # jobs of a run are alike, so the runs show the uncertainty
        each = [[percentile(times, level / 100).value for times in runs] for level in LEVELS]
        lower, upper = tuple(map(min, each)), tuple(map(max, each))
    return Percentiles(
        len(every), len(runs), tuple(short(one.value) for one in found), _shortened(lower), _shortened(upper)
    )


def _shortened(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return tuple(None if value is None else short(value) for value in values)


def _whole(run: Evidence, baseline: Evidence) -> tuple[Timeline | None, Timeline | None]:
    mine, theirs = run_timeline(run), run_timeline(baseline)
    if mine is None or theirs is None:
        return mine, theirs
    step = max(mine.step, theirs.step)
    both = (run_timeline(run, step=step), run_timeline(baseline, step=step))
    count = max(one.bins for one in both if one is not None)
    run_, baseline_ = (None if one is None else _drawn(one, count) for one in both)
    return run_, baseline_


def _drawn(timeline: Timeline, count: int) -> Timeline:
    """Return the panels that are compared, with `count` bins: a shorter run ends in bins without values."""
    panels = tuple(
        TimePanel(panel.id, panel.title, panel.unit, tuple(_line(one, count) for one in panel.series))
        for panel in timeline.panels
        if panel.id in WHOLE
    )
    return Timeline(timeline.start, timeline.step, panels, timeline.shades)


def _overlaid(run: Evidence, baseline: Evidence, names: tuple[str, str], place: tuple[str, str]) -> Timeline | None:
    """Return a case of both runs on one axis; the shades are those of the run."""
    both = [case_timeline(one, *place, most=CASE_BINS) for one in (run, baseline)]
    steps = [one.step for one in both if one is not None]
    if not steps:
        return None
    mine, theirs = (case_timeline(one, *place, most=CASE_BINS, step=max(steps)) for one in (run, baseline))
    found = [(name, one) for name, one in zip(names, (mine, theirs), strict=True) if one is not None]
    count = max(one.bins for _, one in found)
    panels = {panel.id: panel for _, one in found for panel in one.panels if panel.id in PANELS}
    made = (TimePanel(one.id, one.title, one.unit, tuple(_of_both(found, one.id, count))) for one in panels.values())
    first = found[0][1]
    return Timeline(first.start, first.step, tuple(made), first.shades)


def _of_both(found: list[tuple[str, Timeline]], panel_id: str, count: int) -> Iterator[TimeSeries]:
    """Yield the lines of a panel: each line of the one side is followed by that of the other."""
    panels = [(name, panel) for name, one in found for panel in one.panels if panel.id == panel_id]
    for line in dict.fromkeys(series.id for _, panel in panels for series in panel.series):
        for name, panel in panels:
            for series in panel.series:
                if series.id == line:
                    padded = _line(series, count)
                    yield TimeSeries(f"{series.id}-{name}", f"{series.name}, {name}", padded.values)


def _line(series: TimeSeries, count: int) -> TimeSeries:
    return TimeSeries(series.id, series.name, (*series.values, *[None] * (count - len(series.values))))
