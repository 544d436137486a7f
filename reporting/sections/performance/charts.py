"""The charts of the performance report, as data."""

from __future__ import annotations

from collections.abc import Sequence

from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.document.report import Chart, Series
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.statistics.intervals import Percentile


def ecdf(evidence: Evidence, level: Level) -> Chart:
    """Distribution of the response time of one case."""
    times = sorted(evidence.response_times(level.scenario, level.case))
    steps = tuple((rank + 1) / len(times) for rank in range(len(times)))
    objective = evidence.catalogue.get("response_time_p95").objective
    # the objective would squeeze a much faster service into a corner
    near = objective is not None and objective.value <= 2 * times[-1]
    return Chart(
        name="response_time_ecdf",
        kind="steps",
        title="Response time of a single request",
        x_label="Response time [s]",
        y_label="Share of jobs",
        series=(Series("share of jobs", (times[0], *times), (0.0, *steps)),),
        caption=f"Empirical distribution of the response time in {place_name(level.scenario, level.case)}, "
        f"n = {len(times)}.",
        limit=(f"objective {objective.value:g} s", objective.value) if objective and near else None,
    )


def by_concurrency(evidence: Evidence, drawn: Sequence[Level]) -> tuple[Chart, Chart]:
    """Response time and throughput of levels that have both."""
    sizes = ", ".join(f"{level.times.n} at {level.concurrency}" for level in drawn if level.times)
    xs = tuple(float(level.concurrency) for level in drawn)
    objective = evidence.catalogue.get("throughput").objective
    return (
        Chart(
            name="response_time_by_concurrency",
            kind="line",
            title="Response time by concurrency",
            x_label="Jobs in flight",
            y_label="Response time [s]",
            series=tuple(
                Series(name, xs, tuple(p.value for p in points), tuple(_error(p) for p in points))
                for name, points in (
                    ("P50", [level.times.p50 for level in drawn if level.times]),
                    ("P95", [level.times.p95 for level in drawn if level.times]),
                )
            ),
            caption=f"Response time of completed jobs with 95 % confidence intervals, n = {sizes}. A missing upper bar "
            "means that n is too small for an upper limit.",
        ),
        Chart(
            name="throughput_by_concurrency",
            kind="line",
            title="Throughput by concurrency",
            x_label="Jobs in flight",
            y_label="Throughput [jobs/s]",
            series=(Series("completed jobs", xs, tuple(level.throughput or 0.0 for level in drawn)),),
            caption=f"Completed jobs per second of the case, n = {sizes}.",
            limit=(f"objective {objective.value:g} jobs/s at {objective.concurrency}", objective.value)
            if objective
            else None,
        ),
    )


def component_bars(
    names: Sequence[str], sizes: Sequence[int], averages: Sequence[float], p95s: Sequence[float]
) -> Chart:
    """Average and P95 of one execution of each component, in seconds."""
    counts = ", ".join(f"{size} {name}" for name, size in zip(names, sizes, strict=True))
    return Chart(
        name="component_breakdown",
        kind="bars",
        title="Time by component",
        x_label="Time of one execution [s]",
        y_label="",
        labels=tuple(names),
        series=(Series("average", (), tuple(averages)), Series("P95", (), tuple(p95s))),
        caption="Average and P95 of one execution of each stage by PromQL; the P95's bucket is in the table. "
        f"n = {counts}.",
    )


def _error(percentile: Percentile) -> tuple[float, float]:
    value, interval = percentile.value, percentile.interval
    below = value - interval.lower if interval.lower is not None else 0.0
    return below, interval.upper - value if interval.upper is not None else 0.0
