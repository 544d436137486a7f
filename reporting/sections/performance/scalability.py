"""Scalability: the Universal Scalability Law over the levels of load, and what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.stretch import Basis
from reelbench.reporting.sections.performance.load import load
from reelbench.reporting.sections.performance.parts_of_a_job import Component, components
from reelbench.reporting.sections.recommendations import Advice, Rule, recommend
from reelbench.reporting.statistics import usl
from reelbench.reporting.statistics.intervals import Interval, Proportion, Summary

TITLE = "Scalability (Universal Scalability Law)"
POINTS = 60
"""Of the fitted curve in the chart."""
FAR = 2
"""Times the highest level beyond which a peak is too far from the data to be a prediction."""
STEADY = 2
"""Times the least peak of the fits without one level that the greatest may be, for a peak to be given."""
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
    xs, ys = _points(levels)
    found = usl.fit(xs, ys)
    if found is None:
        sentence = (
            f"No fit: {len(set(xs))} levels of load have a steady part; three coefficients need at least "
            f"{usl.MIN_LEVELS}, as they fit three points exactly."
        )
        return Section(TITLE, (Paragraph(sentence),), level=3)
    blocks: list[Block] = [
        Paragraph(
            "X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)), fitted by least squares to the throughput of "
            f"`{levels[0].scenario}` with alpha ≥ 0 and beta ≥ 0 (Gunther, *Guerrilla Capacity Planning*, 2007). "
            "Throughput is that of the steady part of a case; a level with several jobs in flight and none is left out."
        ),
        Table(
            ("Coefficient", "Value", "95 % CI", "Meaning"),
            tuple(_row(c, found) for c in (found.alpha, found.beta, found.gamma)),
            ("Value",),
        ),
        Bullets((_goodness(found), _levels(found), _peak(found, xs, usl.peak_range(xs, ys)))),
        _chart(found, xs, ys),
    ]
    return Section(TITLE, tuple(blocks), level=3)


def _points(levels: Sequence[Level]) -> tuple[list[float], list[float]]:
    """Return jobs in flight and throughput of the levels that completed jobs."""
    known = [(level.concurrency, level.throughput) for level in levels if level.throughput and _counts(level)]
    return [float(n) for n, _ in known], [float(x) for _, x in known]


def _counts(level: Level) -> bool:
    """Return whether the throughput of a level is that of its load: start and drain would look like contention."""
    return level.basis is not Basis.NO_STEADY_PART


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


def peak_of(levels: Sequence[Level]) -> tuple[usl.Fit, usl.PeakRange] | None:
    """Return the fit and the range of its peak where six levels or more determine one, also without any of them."""
    xs, ys = _points(levels)
    found, around = usl.fit(xs, ys), usl.peak_range(xs, ys)
    if found is None or found.peak is None or found.peak > FAR * max(xs) or around is None or around.most is None:
        return None
    return (found, around) if around.most <= STEADY * around.least else None


def _peak(found: usl.Fit, xs: Sequence[float], around: usl.PeakRange | None) -> str:
    highest = f"{max(xs):g}"
    near = found.peak is not None and found.peak <= FAR * max(xs)
    if near and found.n < usl.MIN_LEVELS_FOR_INTERVALS:
        return (
            f"No peak is given: {found.n} levels do not determine one ({usl.MIN_LEVELS_FOR_INTERVALS} are needed). "
            f"Highest level tested: {highest}."
        )
    if found.peak is not None and near:
        most = "infinity" if around is None or around.most is None else f"{around.most:.0f}"
        least = "-" if around is None else f"{around.least:.0f}"
        span = f"without one of the levels it lies between {least} and {most}"
        if around is None or around.most is None or around.most > STEADY * around.least:
            return f"No peak is given: {span}. Highest level tested: {highest}."
        return (
            f"Predicted peak: **N\\* = {found.peak:.0f} jobs in flight** (sqrt((1 - alpha) / beta); {span}) with "
            f"{found.at(found.peak):.1f} jobs/s; beyond it throughput falls. Highest level tested: {highest}."
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


KNEE_EFFICIENCY = 0.5
"""Share of the proportional gain in throughput below which it levels off."""
QUEUE_SHARE = 0.2
"""Share of the response time spent in the queue from which more workers are worth naming first."""


class Point(msgspec.Struct, frozen=True):
    """A level of load of which all figures are known."""

    concurrency: int
    throughput: float
    limits: Interval
    """95 % interval of the throughput; none for too few jobs."""
    times: Summary
    success: Proportion
    queue: float | None
    """Mean time in the queue of the jobs of the whole case."""
    whole: float | None
    """Mean response time of the same jobs."""


class Load(msgspec.Struct, frozen=True):
    """What the rules look at."""

    points: tuple[Point, ...]
    """By ascending concurrency."""
    components: tuple[Component, ...]
    min_success: float
    max_p95: float


def points(levels: Sequence[Level]) -> tuple[Point, ...]:
    """Return the levels of which all figures are known, by ascending concurrency."""
    found = (
        Point(
            level.concurrency,
            level.throughput,
            level.throughput_interval,
            level.times,
            level.success,
            level.queue_average,
            level.whole_average,
        )
        for level in levels
        if level.throughput and level.times and level.success and _counts(level)
    )
    return tuple(sorted(found, key=lambda point: point.concurrency))


def facts(evidence: Evidence) -> Load:
    """Return what the rules look at."""
    success = evidence.objective(Role.SUCCESS_RATE)
    response = evidence.objective(Role.RESPONSE_TIME_P95)
    return Load(
        points(load(evidence)),
        components(evidence),
        min_success=success.value if success else 0.0,
        max_p95=response.value if response else float("inf"),
    )


def recommendations(evidence: Evidence) -> Section:
    """Return the advice that the levels of load and the stages support."""
    return recommend(RULES, facts(evidence))


def _knee(found: Load) -> Iterator[Advice]:
    for low, high in pairwise(found.points):
        more = high.concurrency / low.concurrency
        gain = high.throughput / low.throughput
        if more <= 1 or (gain - 1) / (more - 1) >= KNEE_EFFICIENCY:
            continue
        if not _shown(low, high, more):
            yield Advice(
                f"Throughput may level off between {low.concurrency} and {high.concurrency} jobs in flight",
                f"{more:.3g} times the load changed throughput from {low.throughput:.2f} to {high.throughput:.2f} "
                f"jobs/s ({gain:.2f} times), but the 95 % intervals of so few jobs do not show it. Measure longer, "
                "by a larger `--profile` or by `--repeat`, before you limit what an instance admits",
            )
        else:
            yield Advice(
                f"Throughput levels off between {low.concurrency} and {high.concurrency} jobs in flight",
                f"{more:.3g} times the load changes throughput from {low.throughput:.2f} to {high.throughput:.2f} "
                f"jobs/s ({gain:.2f} times) and P95 from {low.times.p95.value:.3f} to {high.times.p95.value:.3f} s. "
                f"Admit {low.concurrency} to {high.concurrency} jobs per instance; beyond that, add capacity. "
                "*Capacity* has the rate to plan with",
            )
        return
    if len(found.points) > 1:
        low, high = found.points[0], found.points[-1]
        yield Advice(
            f"Throughput does not level off up to {high.concurrency} jobs in flight",
            f"throughput grows from {low.throughput:.2f} jobs/s at {low.concurrency} to {high.throughput:.2f} jobs/s. "
            "Test higher levels before sizing the service",
        )


def _shown(low: Point, high: Point, more: float) -> bool:
    """Return whether the largest gain within both intervals is still too small."""
    if not low.limits.lower or high.limits.upper is None:
        return False
    return (high.limits.upper / low.limits.lower - 1) / (more - 1) < KNEE_EFFICIENCY


def _capacity(found: Load) -> Iterator[Advice]:
    if not found.points:
        return
    limits = f"P95 ≤ {found.max_p95:g} s and success ≥ {found.min_success * 100:g} %"
    held = [p for p in found.points if p.success.value >= found.min_success and p.times.p95.value <= found.max_p95]
    if not held:
        least = found.points[0]
        yield Advice(
            f"No level tested holds {limits}",
            f"at {least.concurrency} in flight, P95 is {least.times.p95.value:.3f} s and success "
            f"{least.success.value * 100:.1f} %",
        )
        return
    best = held[-1]
    yield Advice(
        f"Highest level tested with {limits}",
        f"{text.counted(best.concurrency, 'job')} in flight ({best.throughput:.2f} jobs/s, P95 "
        f"{best.times.p95.value:.3f} s, success {best.success.value * 100:.1f} %)",
    )


def _queueing(found: Load) -> Iterator[Advice]:
    top = found.points[-1] if found.points else None
    if top is None or top.queue is None or top.whole is None:
        return
    average = top.whole
    share = top.queue / average
    waits = (
        f"a job waits {text.with_unit(top.queue, 's')} of its {text.with_unit(average, 's')} on average "
        f"({share * 100:.0f} %), of the whole case with start and drain"
    )
    if share < QUEUE_SHARE:
        action = f"{waits}, so more workers would gain little; make the stages faster"
    else:
        action = f"{waits}; add workers or replicas if CPU and providers have capacity left"
        if top.queue < average:
            action += (
                f". Without the wait, the same load would give at most {top.concurrency / (average - top.queue):.1f} "
                f"jobs/s instead of {top.throughput:.1f} (Little's law), if a job took no longer with more of them "
                "side by side. Where jobs share a CPU it takes longer, as the scalability fit shows"
            )
    yield Advice(f"Queueing at {top.concurrency} in flight", action)


def _largest(found: Load) -> Iterator[Advice]:
    total = sum(part.seconds for part in found.components)
    if not total:
        return
    part = max(found.components, key=lambda part: part.seconds)
    share = part.seconds / total
    yield Advice(
        f"Most stage time: {part.name}",
        f"{text.with_unit(part.seconds, 's')} of {text.with_unit(total, 's')} of summed stage time "
        f"({share * 100:.0f} %; {part.executions} executions of {text.with_unit(part.seconds / part.executions, 's')} "
        f"on average). Halving it saves {share * 50:.0f} % of that sum, a speed-up of {1 / (1 - share / 2):.2f} by "
        "Amdahl's law if stages ran one after another. Scenes run concurrently, so the response time can gain less: "
        "*Where the time goes* has the critical path",
    )


RULES = (
    Rule(f"a step of load that brings less than {KNEE_EFFICIENCY * 100:g} % of the proportional throughput", _knee),
    Rule("the objectives of P95 response time and success rate", _capacity),
    Rule(f"{QUEUE_SHARE * 100:g} % of the response time in the queue", _queueing),
    Rule("the stage with most summed time", _largest),
)
CALLS_FOR_CHANGE = RULES[:1]
"""The rules whose advice is an action; that of the others is a finding."""
