"""Charts of whole distributions: response times by level of load, and in the order in which jobs were due."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.document.report import Chart, Series
from reelbench.reporting.evidence.evidence import Evidence

MAX_STEPS = 200
"""Steps of a distribution in a chart: a page shows no more, and the file stays small."""
MAX_POINTS = 200
"""Points of a case in a chart."""


def ecdf_by_concurrency(evidence: Evidence, drawn: Sequence[Level]) -> Chart:
    """The empirical distributions of the response time at all levels; `drawn` are those with completed jobs."""
    series, thinned = [], False
    for level in drawn:
        times = sorted(evidence.response_times(level.scenario, level.case))
        ranks = _ranks(len(times), MAX_STEPS)
        thinned = thinned or len(ranks) < len(times)
        series.append(
            Series(
                f"{level.concurrency} in flight",
                (times[0], *(times[rank] for rank in ranks)),
                (0.0, *((rank + 1) / len(times) for rank in ranks)),
            )
        )
    note = f" Of a longer sample {MAX_STEPS} evenly spaced ranks are drawn, fastest and slowest among them."
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


def over_time(evidence: Evidence, drawn: Sequence[Level]) -> Chart:
    """Response time of each completed job by the instant at which it was due, case after case."""
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
        f" Of a case with more than {MAX_POINTS} jobs, the fastest and the slowest of each of {MAX_POINTS // 2} "
        "stretches of equally many jobs are drawn, so no extreme is missing."
    )
    return Chart(
        name="response_time_over_time",
        kind="scatter",
        title="Response time over time",
        x_label="Job due, seconds from the first one",
        y_label="Response time [s]",
        series=tuple(
            Series(
                f"{level.concurrency} in flight",
                tuple(due - start for due, _ in shown[level.case]),
                tuple(seconds for _, seconds in shown[level.case]),
            )
            for level in drawn
        ),
        caption=f"Response time of completed jobs by the instant at which each was due, n = {_sizes(drawn)}."
        f"{note if thinned else ''}",
    )


def thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most `most` points, those with the least and greatest value of each stretch; the order is kept."""
    if len(points) <= most:
        return list(points)
    stretches = most // 2
    kept = []
    for low, high in pairwise(len(points) * i // stretches for i in range(stretches + 1)):
        stretch = range(low, high)
        ends = {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
        kept += [points[i] for i in sorted(ends)]
    return kept


def _ranks(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return [(count - 1) * i // (most - 1) for i in range(most)]


def _sizes(drawn: Sequence[Level]) -> str:
    return ", ".join(f"{level.times.n} at {level.concurrency}" for level in drawn if level.times)
