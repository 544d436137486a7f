"""Requests that run and wait in a server that is not ours, over time, and how response times go along with them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from statistics import fmean

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Series, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.performance.charts import thin
from reelbench.reporting.statistics.association import LEAST, Association, association

POINTS = 600
"""Most points of a line of the chart."""
Point = tuple[float, float]
NAMES = {
    ServerRole.WAITING: "waiting requests at the sending of the job",
    ServerRole.GPU_UTILISATION: "GPU utilisation through the job",
}


def blocks(evidence: Evidence) -> list[Block]:
    """Return the table and charts of running and waiting requests, and the associations; empty without such metrics."""
    found: list[Block] = []
    if figures.has(evidence, ServerRole.RUNNING, ServerRole.WAITING):
        found += _saturation(evidence)
        found.append(_table(evidence))
        found += [
            chart for scenario in evidence.scenarios(Dimension.PERFORMANCE) if (chart := _chart(evidence, scenario))
        ]
    return [*found, *_associations(evidence)]


def _saturation(evidence: Evidence) -> list[Block]:
    """Return how many requests ran at most, and the lowest load at which requests wait on average."""
    most, waiting = 0.0, []
    for scenario, case in evidence.cases(Dimension.PERFORMANCE):
        running = figures.gauges(evidence, ServerRole.RUNNING, scenario.name, case.name)
        most = max(most, sum(one.most or 0.0 for one in running))
        mean = figures.total_mean(evidence, ServerRole.WAITING, scenario.name, case.name)
        if mean is not None and mean >= 1 and case.model == "closed":
            waiting.append((case.concurrency, mean, scenario, case))
    items = [f"At most {text.counted(round(most), 'request')} ran at the same time."] if most else []
    if waiting:
        _, mean, scenario, case = min(waiting, key=lambda one: one[0])
        used = figures.average_mean(evidence, ServerRole.GPU_UTILISATION, scenario.name, case.name)
        busy = "" if used is None else f", with the GPUs busy for {used * 100:.0f} % of the time"
        items.append(
            f"From {place_name(scenario.name, case.name)} on, requests wait ({mean:.2f} on average{busy}): more "
            "jobs in flight then lengthen the queue, and bring more videos only if the server runs more at once."
        )
    return [Bullets(tuple(items))] if items else []


def _table(evidence: Evidence) -> Table:
    rows = []
    for scenario, case in evidence.cases(Dimension.PERFORMANCE):
        if case.ended is None or case.model == "idle":
            continue
        cells, samples = [], 0
        for role in (ServerRole.RUNNING, ServerRole.WAITING):
            gauges = figures.gauges(evidence, role, scenario.name, case.name)
            known = [one for one in gauges if one.mean is not None]
            cells += [
                text.number(sum(one.mean or 0.0 for one in known) if known else None),
                text.number(sum(one.most or 0.0 for one in known) if known else None, 0),
            ]
            samples = max(samples, *(one.n for one in known), 0)
        if samples:
            flying = text.number(_flying_mean(evidence, scenario, case))
            rows.append((place_name(scenario.name, case.name), flying, *cells, text.count(samples)))
    columns = (
        "Scenario / case", "Client: in flight, mean", "Running: mean", "Running: most", "Waiting: mean",
        "Waiting: most", "Samples",
    )  # fmt: skip
    caption = (
        "Gauges of the server within each case, as scraped; shorter peaks than a scrape interval are not seen. In "
        "flight: sent and not yet ended for the client, averaged over time."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _flying_mean(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> float | None:
    assert case.started is not None
    assert case.ended is not None
    length = case.ended - case.started
    busy = sum(
        max(min(job.done, case.ended) - max(job.sent, case.started), 0.0)
        for job in evidence.case_jobs(scenario.name, case.name)
    )
    return busy / length if length else None


def _chart(evidence: Evidence, scenario: ScenarioRecord) -> Chart | None:
    """Return running, waiting and in flight over the whole scenario."""
    lines = {
        role: _through(evidence, role, scenario)
        for role in (ServerRole.RUNNING, ServerRole.WAITING)
        if _through(evidence, role, scenario)
    }
    if not lines:
        return None
    start = min(points[0][0] for points in lines.values())
    jobs = [job for job in evidence.jobs if job.scenario == scenario.name]
    scrapes = sorted({at for points in lines.values() for at, _ in points})
    flying = [(at, float(sum(job.sent <= at < job.done for job in jobs))) for at in scrapes]
    series = [_series("in flight", flying, start)]
    series += [_series(role, points, start) for role, points in lines.items()]
    samples = max(len(points) for points in lines.values())
    return Chart(
        name=f"server_queue_{scenario.name}",
        kind="time",
        title=f"Requests: {scenario.name}",
        x_label="Time [s]",
        y_label="Requests",
        series=tuple(series),
        caption="In flight: jobs that the client had sent and that had not ended, warm-up included. Running and "
        f"waiting: the server's own gauges, n = {samples} samples. All lines have the times of the scrapes.",
    )


def _series(name: str, points: Sequence[Point], start: float) -> Series:
    kept = thin(points, POINTS)
    return Series(name, tuple(at - start for at, _ in kept), tuple(value for _, value in kept), draw="curve")


def _through(evidence: Evidence, role: ServerRole, scenario: ScenarioRecord) -> list[Point]:
    """Return the samples of a gauge through a scenario, summed over what has its own."""
    found: dict[float, float] = {}
    for case in scenario.cases:
        here: dict[float, float] = {}
        for one in figures.gauges(evidence, role, scenario.name, case.name):
            for at, value in zip(one.times, one.values, strict=True):
                here[at] = here.get(at, 0.0) + value
        found |= here
    return sorted(found.items())


def _associations(evidence: Evidence) -> list[Block]:
    """Return how response times go along with queue and utilisation, one sentence for each scenario that can say it."""
    items = []
    for scenario in evidence.scenarios(Dimension.PERFORMANCE):
        jobs = [job for job in evidence.scenario_jobs(scenario.name) if job.outcome is Outcome.COMPLETED]
        for role, value in _VALUES.items():
            points = _through(evidence, role, scenario)
            if not points:
                continue
            pairs = [(found, job.done - job.due) for job in jobs if (found := value(points, job)) is not None]
            if not pairs:
                continue
            measured = association([x for x, _ in pairs], [y for _, y in pairs])
            items.append(f"`{scenario.name}`, {NAMES[role]}: {_sentence(measured, len(pairs))}")
    if not items:
        return []
    caveat = (
        "Spearman's rank correlation of the response time of completed jobs; an association says nothing of cause, and "
        "jobs that run together are not independent, so the true interval is wider."
    )
    return [Bullets((*items, caveat))]


def _sentence(found: Association | None, n: int) -> str:
    if found is None:
        return f"no correlation (n = {n}; it needs {LEAST} jobs, and values that differ)."
    p = "< 0.001" if found.p < 0.001 else f"= {found.p:.3f}"  # noqa: PLR2004 - digits of a p value
    direction = "longer" if found.rho > 0 else "shorter"
    limits = found.interval
    clear = (
        f"response times were {direction} where it was higher"
        if limits.lower is not None and limits.upper is not None and (limits.lower > 0 or limits.upper < 0)
        else "no clear association"
    )
    interval = f"95 % CI {limits.lower:+.2f} to {limits.upper:+.2f}"
    return f"{clear} (rank correlation {found.rho:+.2f}, {interval}, p {p}, n = {found.n})."


def _at_sending(points: Sequence[Point], job: JobRecord) -> float | None:
    """Return the last sample at or before the sending of a job."""
    position = bisect_right(points, (job.sent, float("inf")))
    return points[position - 1][1] if position else None


def _through_job(points: Sequence[Point], job: JobRecord) -> float | None:
    """Return the mean of the samples while a job was in flight."""
    low, high = bisect_right(points, (job.sent, float("-inf"))), bisect_right(points, (job.done, float("inf")))
    return fmean(value for _, value in points[low:high]) if high > low else None


_VALUES: dict[ServerRole, Callable[[Sequence[Point], JobRecord], float | None]] = {
    ServerRole.WAITING: _at_sending,
    ServerRole.GPU_UTILISATION: _through_job,
}
