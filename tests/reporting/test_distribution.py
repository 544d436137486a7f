"""Charts of distributions: the drawn points, and the points that thinning must keep."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from reelbench.reporting.analysis.load_levels import levels
from reelbench.reporting.document.report import Chart, Series
from reelbench.reporting.render import figures
from reelbench.reporting.sections.performance.charts import MAX_POINTS, MAX_STEPS, of_levels, thin
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun


def drawn(made: MadeRun) -> tuple[Chart, Chart]:
    known = evidence(made)
    load = levels(known, "concurrent_load")
    _, _, ecdf, over_time = of_levels(known, load)
    return ecdf, over_time


def times(made: MadeRun, case: str) -> list[tuple[float, float]]:
    return sorted(
        (j.due, j.done - j.due)
        for j in made.jobs
        if (j.scenario, j.case, j.warmup, j.outcome) == ("concurrent_load", case, False, "completed")
    )


def steady(made: MadeRun, case: str) -> list[float]:
    part = evidence(made).stretch("concurrent_load", case)
    return sorted(job.done - job.due for job in part.completed)


def test_each_level_has_its_distribution(made: MadeRun) -> None:
    chart, _ = drawn(made)
    assert [s.name for s in chart.series] == [f"{n} in flight" for n in (1, 5, 10, 20, 50)]
    values = steady(made, "n05")
    assert len(values) == 90  # of 100: the first five and the last five jobs are the start and the drain
    assert chart.series[1].xs == (values[0], *values)
    assert chart.series[1].ys == pytest.approx([i / 90 for i in range(91)])


def test_thinning_a_distribution_keeps_its_ends_and_shares(made: MadeRun) -> None:
    chart, _ = drawn(made)
    values = steady(made, "n50")
    last = chart.series[4]
    assert len(values) == 296  # of 396 completed ones
    assert len(last.xs) == MAX_STEPS + 1
    assert (last.xs[0], last.xs[-1], last.ys[-1]) == (values[0], values[-1], 1.0)
    for x, share in zip(last.xs[1:], last.ys[1:], strict=True):
        assert share == pytest.approx(sum(1 for value in values if value <= x) / len(values))
    assert f"{MAX_STEPS} evenly spaced ranks" in chart.caption


def test_points_over_time_equal_the_jobs(made: MadeRun) -> None:
    _, chart = drawn(made)
    first = times(made, "n01")
    assert chart.series[0].xs == pytest.approx([due - first[0][0] for due, _ in first])
    assert chart.series[0].ys == tuple(seconds for _, seconds in first)
    assert chart.series[4].xs[0] == pytest.approx(times(made, "n50")[0][0] - first[0][0])
    assert "n = 40 at 1, 100 at 5, 100 at 10, 200 at 20, 396 at 50" in chart.caption


@pytest.mark.parametrize("count", [1, MAX_POINTS + 1, 10_007])
def test_thinning_keeps_the_extremes_of_every_interval(count: int) -> None:
    rng = random.Random(count)
    points = [(float(i), rng.lognormvariate(0, 1)) for i in range(count)]
    kept = thin(points, MAX_POINTS)
    assert len(kept) == min(count, len(kept)) <= MAX_POINTS
    assert kept == sorted(set(kept) & set(points))  # in order, without duplicates or new points
    for end in (min, max):
        assert end(y for _, y in kept) == end(y for _, y in points)
    if count > MAX_POINTS:
        bounds = [count * i // 100 for i in range(101)]
        for low, high in pairwise(bounds):
            stretch = [y for _, y in points[low:high]]
            assert [end(stretch) for end in (min, max)] == sorted(y for x, y in kept if low <= x < high)
    assert thin(points, MAX_POINTS) == kept


def test_a_curve_gets_no_ticks_and_points_get_no_line() -> None:
    chart = Chart(
        name="c", kind="line", title="t", x_label="x", y_label="y", caption="",
        series=(
            Series("measured", (1, 5, 50), (1, 4, 9), draw="points"),
            Series("law", (1, 2, 3, 50), (1, 2, 3, 9), draw="curve"),
        ),
    )  # fmt: skip
    axes = figures.figure(chart).axes[0]
    assert list(axes.get_xticks()) == [1, 5, 50]
    assert [(line.get_linestyle(), line.get_marker()) for line in axes.lines] == [("None", "o"), ("-", "")]


def test_a_scatter_has_no_lines_and_starts_at_zero() -> None:
    chart = Chart(
        name="c", kind="scatter", title="t", x_label="x", y_label="y", caption="",
        series=(Series("one", (1, 2), (3, 4)), Series("two", (3, 4), (5, 6))),
    )  # fmt: skip
    axes = figures.figure(chart).axes[0]
    assert [line.get_linestyle() for line in axes.lines] == ["None", "None"]
    assert axes.get_ylim()[0] == 0
