"""The charts of the performance report, as data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document.report import Chart, Series
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import Percentile

MAX_STEPS = 200
"""Steps of a distribution in a chart: a page shows no more, and the file stays small."""
MAX_POINTS = 200
"""Points of a case in a chart."""
IDEAL_POINTS = 40
NEAR = 2
"""Multiple of the largest value up to which an objective is drawn; a farther one would squeeze the values."""
ROOM = 1.25
"""Multiple of the largest value up to which the ideal line is drawn."""


def ecdf(evidence: Evidence, level: Level) -> Chart:
    """Return the distribution of the response time of one case."""
    times = evidence.response_times(level.scenario, level.case)
    objective = evidence.objective(Role.RESPONSE_TIME_P95)
    # the objective would squeeze a much faster service into a corner
    near = objective is not None and objective.value <= NEAR * times[-1]
    return Chart(
        name="response_time_ecdf",
        kind="steps",
        title="Response time of a single request",
        x_label="Response time [s]",
        y_label="Share of jobs",
        series=(distribution("share of jobs", times, len(times)),),
        caption=f"Empirical distribution of the response time in {place_name(level.scenario, level.case)}, "
        f"n = {len(times)}.",
        limit=(f"objective {objective.value:g} s", objective.value) if objective and near else None,
    )


def distribution(name: str, times: Sequence[float], total: int, ranks: Sequence[int] | None = None) -> Series:
    """Return the empirical distribution of sorted times among `total` jobs, by default with every rank."""
    shown = range(len(times)) if ranks is None else ranks
    return Series(name, (times[0], *(times[i] for i in shown)), (0.0, *((i + 1) / total for i in shown)))


def of_levels(evidence: Evidence, drawn: Sequence[Level]) -> tuple[Chart, ...]:
    """Return the charts by jobs in flight, of levels with completed jobs."""
    if not drawn:
        return ()
    return *_by_concurrency(evidence, drawn), _ecdf_by_concurrency(evidence, drawn), _over_time(evidence, drawn)


def _by_concurrency(evidence: Evidence, drawn: Sequence[Level]) -> tuple[Chart, Chart]:
    xs = tuple(float(level.concurrency) for level in drawn)
    objective = evidence.objective(Role.THROUGHPUT)
    slow = evidence.objective(Role.RESPONSE_TIME_P95)
    rates = tuple(level.throughput or 0.0 for level in drawn)
    p50, p95 = ([getattr(level.times, name) for level in drawn] for name in ("p50", "p95"))
    return (
        Chart(
            name="response_time_by_concurrency",
            kind="line",
            title="Response time by concurrency",
            x_label="Jobs in flight",
            y_label="Response time [s]",
            series=tuple(
                Series(name, xs, tuple(p.value for p in points), tuple(_error(p) for p in points))
                for name, points in (("P50", p50), ("P95", p95))
            ),
            caption=f"Response time of completed jobs with 95 % confidence intervals, n = {_sizes(drawn)}. Without an "
            "upper bar, n is too small for an upper limit, or the case has no steady part.",
            limit=(f"objective for P95 {slow.value:g} s", slow.value)
            if slow and slow.value <= NEAR * max(p.value for p in p95)
            else None,
        ),
        Chart(
            name="throughput_by_concurrency",
            kind="line",
            title="Throughput by concurrency",
            x_label="Jobs in flight",
            y_label="Throughput [jobs/s]",
            series=(Series("completed jobs", xs, rates), *_ideal(xs, rates)),
            caption="Completed jobs per second of the steady part, or of the whole case without one, "
            f"n = {_sizes(drawn)}. The ideal line grows in proportion from the lowest level on, drawn as far as the "
            "axis reaches.",
            limit=(f"objective {objective.value:g} jobs/s at {objective.concurrency}", objective.value)
            if objective
            else None,
        ),
    )


def _ideal(xs: Sequence[float], rates: Sequence[float]) -> tuple[Series, ...]:
    """Return throughput in proportion to the lowest level, cut off above what was measured; empty without a slope."""
    slope = rates[0] / xs[0]
    end = min(xs[-1], ROOM * max(rates) / slope) if slope > 0 else 0.0
    if end <= xs[0]:
        return ()
    curve = tuple(xs[0] * (end / xs[0]) ** (i / (IDEAL_POINTS - 1)) for i in range(IDEAL_POINTS))
    return (Series("ideal", curve, tuple(slope * x for x in curve), draw="curve"),)


def _ecdf_by_concurrency(evidence: Evidence, drawn: Sequence[Level]) -> Chart:
    series, thinned = [], False
    for level in drawn:
        times = evidence.response_times(level.scenario, level.case)
        series.append(distribution(f"{level.concurrency} in flight", times, len(times), _ranks(len(times), MAX_STEPS)))
        thinned = thinned or len(times) > MAX_STEPS
    note = f" Of a longer sample, {MAX_STEPS} evenly spaced ranks are drawn, including the fastest and the slowest."
    return Chart(
        name="response_time_ecdf_by_concurrency",
        kind="steps",
        title="Response time by concurrency: distribution",
        x_label="Response time [s]",
        y_label="Share of jobs",
        series=tuple(series),
        caption=f"Empirical distributions of the response time of completed jobs, n = {_sizes(drawn)}."
        f"{note if thinned else ''}",
    )


def _over_time(evidence: Evidence, drawn: Sequence[Level]) -> Chart:
    jobs = {
        level.case: sorted(
            (job.due, job.done - job.due)
            for job in evidence.case_jobs(level.scenario, level.case)
            if job.outcome is Outcome.COMPLETED
        )
        for level in drawn
    }
    start = min(points[0][0] for points in jobs.values())
    shown = {case: thin(points, MAX_POINTS) for case, points in jobs.items()}
    thinned = any(len(shown[case]) < len(jobs[case]) for case in jobs)
    note = (
        f" A case with more than {MAX_POINTS} jobs is cut into {MAX_POINTS // 2} stretches of equally many jobs; the "
        "fastest and the slowest job of each are drawn, so all extremes are shown."
    )
    return Chart(
        name="response_time_over_time",
        kind="scatter",
        title="Response time over time",
        x_label="Intended start, seconds after the first one",
        y_label="Response time [s]",
        series=tuple(
            Series(
                f"{level.concurrency} in flight",
                tuple(due - start for due, _ in shown[level.case]),
                tuple(seconds for _, seconds in shown[level.case]),
            )
            for level in drawn
        ),
        caption=f"Response time of each completed job at its intended start, start and drain included, n = "
        f"{', '.join(f'{len(jobs[level.case])} at {level.concurrency}' for level in drawn)}."
        f"{note if thinned else ''}",
    )


def thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return at most `most` points, those with the least and greatest value of each stretch, in their order."""
    if len(points) <= most:
        return list(points)
    stretches = most // 2
    kept = []
    for low, high in pairwise(len(points) * i // stretches for i in range(stretches + 1)):
        stretch = range(low, high)
        ends = {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
        kept += [points[i] for i in sorted(ends)]
    return kept


def component_bars(
    names: Sequence[str],
    sizes: Sequence[int],
    averages: Sequence[float],
    p95s: Sequence[float],
    bounds: Sequence[Bound | None] = (),
) -> Chart:
    """Return average and P95 of one execution of each component, in seconds, with the buckets of the P95s."""
    counts = ", ".join(f"{size} {name}" for name, size in zip(names, sizes, strict=True))
    return Chart(
        name="component_breakdown",
        kind="bars",
        title="Time by component",
        x_label="Time of one execution [s]",
        y_label="",
        labels=tuple(names),
        series=(
            Series("average", (), tuple(averages)),
            Series(
                "P95", (), tuple(p95s), tuple(_within(*one) for one in zip(p95s, bounds, strict=True)) if bounds else ()
            ),
        ),
        caption="Average and P95 of one execution of each stage by PromQL; the line at a P95 is its bucket. "
        f"n = {counts}.",
    )


def _within(value: float, bound: Bound | None) -> tuple[float, float]:
    """Return how far a bucket reaches below and above its percentile; an open bucket has no end to draw."""
    if bound is None:
        return 0.0, 0.0
    return max(value - bound.lower, 0.0), max((value if bound.upper is None else bound.upper) - value, 0.0)


def _error(percentile: Percentile) -> tuple[float, float]:
    value, interval = percentile.value, percentile.interval
    below = value - interval.lower if interval.lower is not None else 0.0
    return below, interval.upper - value if interval.upper is not None else 0.0


def _ranks(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return [(count - 1) * i // (most - 1) for i in range(most)]


def _sizes(drawn: Sequence[Level]) -> str:
    return ", ".join(f"{level.times.n} at {level.concurrency}" for level in drawn if level.times)
