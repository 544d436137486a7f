"""The tables of the page's own charts: the run over time, and its cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from reelbench.reporting.analysis.timeline import Timeline
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Table
from reelbench.reporting.results.comparison_data import ComparisonData, Percentiles
from reelbench.reporting.results.page_data import Estimate, PageCase, PageData

_PERCENTILES: Final = (50.0, 95.0, 99.0)
"""Of the table of a comparison, in per cent."""


def over_time(timeline: Timeline, most: int) -> Table:
    """Return a timeline as a table; of more bins than rows, every bin at an even distance is shown."""
    every = -(-timeline.bins // most)
    lines = [(panel, series) for panel in timeline.panels for series in panel.series]
    columns = ("From [s]", *(_column(panel.title, series.name, panel.unit) for panel, series in lines))
    rows = tuple(
        (f"{i * timeline.step:g}", *(_value(series.values[i]) for _, series in lines))
        for i in range(0, timeline.bins, every)
    )
    note = "" if every == 1 else f" One of {every} bins is shown; the data of the chart, in the page, has all."
    caption = f"Bins of {timeline.step:g} s from {text.instant(timeline.start)} on.{note}"
    return Table(columns, rows, columns, caption)


def cases(data: PageData) -> Table:
    """Return the counts and percentiles of every case."""
    columns = ("Case", "Jobs", "Completed", "Not completed", "P50 [s]", "P95 [s]", "P95, 95 % CI [s]", "n")
    return Table(
        columns,
        tuple(_case(one) for one in data.cases),
        (*columns[1:6], columns[7]),
        "Measured jobs. Percentiles are those of the completed jobs of the steady part, or of the whole case without "
        "one.",
    )


def compared_cases(data: ComparisonData) -> Table:
    """Return percentiles of the response times of both sides in every case."""
    shown = [data.levels.index(level) for level in _PERCENTILES]
    columns = ["Case"]
    numeric = []
    for name in (data.run, data.baseline):
        numeric.append(f"n, {name}")
        numeric += [f"P{level:g}, {name} (range) [s]" for level in _PERCENTILES]
    rows = tuple(
        (
            text.literal(f"{one.scenario} / {one.case}"),
            *(cell for side in (one.run, one.baseline) for cell in _percentiles(side, shown)),
        )
        for one in data.cases
    )
    return Table(
        (*columns, *numeric),
        rows,
        tuple(numeric),
        "Completed jobs of the steady part, or of the whole case without one. In parentheses: the 95 % interval, or "
        "where a side has several runs, the least and the greatest of them. `?`: the sample is too small.",
    )


def _percentiles(side: Percentiles | None, shown: Sequence[int]) -> Iterator[str]:
    if side is None:
        yield from (text.NONE for _ in range(len(shown) + 1))
        return
    yield f"{side.n:,}"
    for at in shown:
        limits = ["?" if limit is None else text.seconds(limit) for limit in (side.lower[at], side.upper[at])]
        yield f"{text.seconds(side.values[at])} ({' to '.join(limits)})"


def _case(one: PageCase) -> tuple[str, ...]:
    counts = (str(one.jobs), str(one.completed), str(one.failed))
    name = text.literal(f"{one.scenario} / {one.case}")
    if one.growth is None:
        return (name, *counts, text.NONE, text.NONE, text.NONE, text.NONE)
    p50, p95 = one.growth.p50[-1], one.growth.p95[-1]
    return (name, *counts, text.seconds(p50[0]), text.seconds(p95[0]), _limits(p95), str(one.growth.n[-1]))


def _limits(estimate: Estimate) -> str:
    _, lower, upper = estimate
    if upper is None:
        return text.NONE if lower is None else f"from {text.seconds(lower)}"
    return f"{text.seconds(lower)} to {text.seconds(upper)}"


def _column(title: str, name: str, unit: str) -> str:
    return text.literal(f"{title.partition(' of jobs')[0]}: {name} [{unit}]")


def _value(value: float | None) -> str:
    return text.NONE if value is None else f"{value:g}"
