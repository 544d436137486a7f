"""The section on scalability: results of the fit, and no statement without enough levels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.document.report import Bullets, Chart, Paragraph, Section, Table
from reelbench.reporting.sections.performance import scalability


def law(n: float, alpha: float, beta: float, gamma: float) -> float:
    return gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))


def section(levels: Sequence[int], throughputs: Sequence[float | None]) -> Section:
    return scalability.fitted(
        [
            Level("concurrent_load", f"n{n}", n, None, None, x, None, None, None, None, None)
            for n, x in zip(levels, throughputs, strict=True)
        ]
    )


def table(found: Section) -> dict[str, tuple[str, ...]]:
    (block,) = [block for block in found.blocks if isinstance(block, Table)]
    return {row[0]: row[1:3] for row in block.rows}


def bullets(found: Section) -> tuple[str, ...]:
    (block,) = [block for block in found.blocks if isinstance(block, Bullets)]
    return block.items


FIVE = (1, 5, 10, 20, 50)


def test_five_levels_give_coefficients_without_intervals_and_no_peak() -> None:
    found = section(FIVE, [law(n, 0.05, 0.001, 3.0) for n in FIVE])
    assert table(found) == {
        "alpha": ("0.05", "5 levels are too few"),
        "beta": ("0.001", "5 levels are too few"),
        "gamma": ("3", "5 levels are too few"),
    }
    goodness, levels, peak = bullets(found)
    assert "**R^2 = 1.0000**, RMSE 0.000 jobs/s" in goodness
    assert "5 levels minus 3 coefficients leave 2 degrees of freedom" in levels
    assert peak == "No peak is given: 5 levels do not determine one (6 are needed). Highest level tested: 50."


def test_six_levels_give_intervals_and_a_prediction() -> None:
    levels = (1, 2, 5, 10, 20, 50)
    noise = (1.01, 0.99, 1.01, 0.99, 1.01, 0.99)
    found = section(levels, [law(n, 0.05, 0.001, 3.0) * f for n, f in zip(levels, noise, strict=True)])
    assert all(" to " in interval for _, interval in table(found).values())
    peak = bullets(found)[2]
    assert re.search(r"\*\*N\\\* = 3\d jobs in flight\*\*", peak)
    assert re.search(r"without one of the levels it lies between (2\d|3\d) and (3\d|4\d)\)", peak)


def test_a_peak_that_one_level_decides_is_not_given() -> None:
    found = section((1, 2, 5, 10, 20, 50), [3.0, 5.4, 12.0, 16.0, 17.0, 15.6])
    without_the_last = section((1, 2, 5, 10, 20), [3.0, 5.4, 12.0, 16.0, 17.0])
    assert "do not determine one" in bullets(without_the_last)[2] or "no prediction" in bullets(without_the_last)[2]
    flat = section((1, 2, 5, 10, 20, 50), [3.0, 5.6, 11.5, 17.0, 18.0, 19.2])
    assert bullets(flat)[2].startswith("No peak")
    assert "N\\*" in bullets(found)[2]


def test_a_peak_far_beyond_the_levels_is_not_predicted() -> None:
    found = section(FIVE, [law(n, 0.05, 0.00001, 3.0) for n in FIVE])
    assert bullets(found)[2].startswith("No peak near the levels tested: the law's peak, N\\* = 308,")


def test_throughput_that_levels_off_has_a_ceiling() -> None:
    found = section(FIVE, [2.9, 11.0, 16.0, 18.5, 24.0])
    alpha, gamma = (float(table(found)[name][0]) for name in ("alpha", "gamma"))
    assert table(found)["beta"] == ("0", "at its lower bound 0")
    assert bullets(found)[1].startswith("5 levels minus 2 coefficients leave 3 degrees of freedom")
    limit = float(bullets(found)[2].split("levels off towards ")[1].split(" jobs/s")[0])
    assert limit == pytest.approx(gamma / alpha, rel=0.005)  # the table has four digits


def test_throughput_in_proportion_has_no_peak() -> None:
    peak = bullets(section(FIVE, [2.0, 10.5, 21.0, 42.0, 110.0]))[2]
    assert (
        peak
        == "No peak is predicted, as beta is 0: throughput grows in proportion to the load. Highest level tested: 50."
    )


def test_the_chart_has_the_points_and_the_curve() -> None:
    (chart,) = [
        block for block in section(FIVE, [law(n, 0.05, 0.001, 3.0) for n in FIVE]).blocks if isinstance(block, Chart)
    ]
    points, curve = chart.series
    assert (points.xs, points.draw, curve.draw) == (FIVE, "points", "curve")
    assert (curve.xs[0], curve.xs[-1]) == pytest.approx((1, 50))
    assert curve.ys == pytest.approx([law(x, 0.05, 0.001, 3.0) for x in curve.xs])


def test_three_levels_are_refused() -> None:
    for last in ([], [None], [0.0]):
        throughputs = [1.0, 4.0, 7.0, *last]
        (block,) = section(FIVE[: len(throughputs)], throughputs).blocks
        assert isinstance(block, Paragraph)
        assert block.text.startswith("No fit: 3 levels of load")
