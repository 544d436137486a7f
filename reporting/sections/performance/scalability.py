"""Scalability: the Universal Scalability Law over the levels of load."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.performance.load import load
from reelbench.reporting.statistics import usl

TITLE = "Scalability (Universal Scalability Law)"
POINTS = 60
"""Of the fitted curve in the chart."""
FAR = 2
"""Times the highest level beyond which a peak is too far from the data to be a prediction."""
MEANINGS = {
    "alpha": "contention: the share of the work that waits for shared resources",
    "beta": "coherency: what jobs in flight cost each other",
    "gamma": "throughput of one job in flight [jobs/s]",
}


def section(evidence: Evidence) -> Section | None:
    """Return the fit to the levels of load; None without levels."""
    levels = load(evidence)
    return fitted(levels) if levels else None


def fitted(levels: Sequence[Level]) -> Section:
    """Return coefficients, goodness of fit, peak and curve; with too few levels, why there is no fit."""
    points = [(level.concurrency, level.throughput) for level in levels if level.throughput]
    xs, ys = [float(n) for n, _ in points], [float(x) for _, x in points]
    found = usl.fit(xs, ys)
    if found is None:
        sentence = (
            f"No fit: {len(set(xs))} levels of load completed jobs; three coefficients need at least {usl.MIN_LEVELS}, "
            "as they fit three points exactly."
        )
        return Section(TITLE, (Paragraph(sentence),), level=3)
    blocks: list[Block] = [
        Paragraph(
            "X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)), fitted by least squares to the throughput of "
            f"`{levels[0].scenario}` with alpha ≥ 0 and beta ≥ 0 (Gunther, *Guerrilla Capacity Planning*, 2007). "
            "Throughput is that of whole cases, including start and graceful stop."
        ),
        Table(
            ("Coefficient", "Value", "95 % CI", "Meaning"),
            tuple(_row(c, found) for c in (found.alpha, found.beta, found.gamma)),
            ("Value",),
        ),
        Bullets((_goodness(found), _levels(found), _peak(found, xs))),
        _chart(found, xs, ys),
    ]
    return Section(TITLE, tuple(blocks), level=3)


def _row(coefficient: usl.Coefficient, found: usl.Fit) -> tuple[str, str, str, str]:
    limits = coefficient.interval
    if coefficient.at_bound:
        interval = "at its lower bound 0"
    elif limits.lower is None or limits.upper is None:
        interval = f"{found.n} levels are too few"
    else:
        interval = f"{limits.lower:.4g} to {limits.upper:.4g}"
    return coefficient.name, f"{coefficient.value:.4g}", interval, MEANINGS[coefficient.name]


def _goodness(found: usl.Fit) -> str:
    residuals = ", ".join(f"{residual:+.2f}" for residual in found.residuals)
    return (
        f"Goodness of fit: **R^2 = {found.r_squared:.4f}**, RMSE {found.rmse:.3f} jobs/s; measured minus fitted in "
        f"jobs/s: {residuals}."
    )


def _levels(found: usl.Fit) -> str:
    free = text.counted(found.n - found.freedom, "coefficient")
    count = f"{found.n} levels minus {free} leave {found.freedom} degrees of freedom"
    if found.n < usl.MIN_LEVELS_FOR_INTERVALS:
        return (
            f"{count}: too few for intervals ({usl.MIN_LEVELS_FOR_INTERVALS} levels are needed), and a high R^2 is "
            "easily reached. Read the curve as a description of these levels."
        )
    return f"{count}; the intervals are Student's t from the covariance of the fit, cut off at 0."


def _peak(found: usl.Fit, xs: Sequence[float]) -> str:
    highest = f"{max(xs):g}"
    if found.peak is not None and found.peak <= FAR * max(xs):
        return (
            f"Predicted peak: **N\\* = {found.peak:.0f} jobs in flight** (sqrt((1 - alpha) / beta)) with "
            f"{found.at(found.peak):.1f} jobs/s; beyond it throughput falls. Highest level tested: {highest}."
            f"{'' if found.n >= usl.MIN_LEVELS_FOR_INTERVALS else ' With so few levels it is a rough estimate.'}"
        )
    if found.peak is not None:
        return (
            f"No peak near the levels tested: the law's peak, N\\* = {found.peak:,.0f}, is more than {FAR} times the "
            f"highest level ({highest}) and therefore no prediction."
        )
    limit = (
        f"throughput levels off towards {text.number(found.ceiling, 1)} jobs/s (gamma / alpha, Amdahl's law)"
        if found.ceiling is not None
        else "throughput grows in proportion to the load"
    )
    return f"No peak is predicted, as beta is 0: {limit}. Highest level tested: {highest}."


def _chart(found: usl.Fit, xs: Sequence[float], ys: Sequence[float]) -> Chart:
    low, high = min(xs), max(xs)
    curve = tuple(low * (high / low) ** (i / (POINTS - 1)) for i in range(POINTS))  # even on the logarithmic axis
    return Chart(
        name="scalability",
        kind="line",
        title="Throughput and the Universal Scalability Law",
        x_label="Jobs in flight",
        y_label="Throughput [jobs/s]",
        series=(
            Series("measured", tuple(xs), tuple(ys), draw="points"),
            Series("fitted law", curve, tuple(found.at(x) for x in curve), draw="curve"),
        ),
        caption=f"Completed jobs per second at {found.n} levels and the fitted law, R^2 = {found.r_squared:.4f}, "
        f"{found.freedom} degrees of freedom.",
    )
