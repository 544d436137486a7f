"""The section on open-loop load: response time from when jobs were due, the knee of a ramp, the course of a spike."""

from __future__ import annotations

from reelbench.reporting.analysis.capacity import (
    FLUCTUATION,
    MAX_GROWTH,
    MAX_P95,
    MIN_DELIVERED,
    MIN_SUCCESS,
    Knee,
    knee,
)
from reelbench.reporting.analysis.open_cases import OpenCase, open_cases
from reelbench.reporting.analysis.spike import GROUP, Spike, spikes
from reelbench.reporting.analysis.verdicts import Analysis
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.evidence import Evidence, place_name

RAMP, SPIKE = "ramp", "spike"
RATES = ("arrival_rate", RAMP, SPIKE)
LISTED = 20
"""Cut-off jobs that are named one by one."""


def section(evidence: Evidence, analysis: Analysis) -> Section:
    """Everything about the open cases of the performance scenarios."""
    cases = [case for case in open_cases(evidence) if case.scenario in _performance(evidence)]
    if not cases:
        return Section("Open-loop load", (Paragraph(f"No open case is part of this run ({', '.join(RATES)})."),))
    blocks: list[Block] = [_table(cases, analysis)]
    if unfinished := _unfinished(cases):
        blocks.append(Bullets(unfinished))
    blocks.append(_times(cases))
    blocks += [chart for case in _drawn(cases) if (chart := _distributions(case)) is not None]
    found = knee(evidence, RAMP)
    if found is not None:
        blocks += _knee(found)
    blocks += [block for each in spikes(evidence, SPIKE) for block in _spike(each)]
    return Section("Open-loop load", tuple(blocks))


def key_figures(evidence: Evidence) -> list[str]:
    """What a paper cites of it, a sentence each."""
    items = []
    found = knee(evidence, RAMP)
    if found is not None and found.held is not None:
        case = found.held.case
        items.append(
            f"Sustained arrival rate (open loop): **{case.load.rate:g} jobs/s**, "
            f"P95 {text.censored(case.response(0.95))} s (n = {len(case.jobs)})."
        )
    items += [
        f"Recovery after a burst of {each.case.load.burst_rate:g} jobs/s: **{each.recovery:.2f} s** (n = {each.after})."
        for each in spikes(evidence, SPIKE)
        if each.recovery is not None
    ]
    return items


def _performance(evidence: Evidence) -> set[str]:
    return {scenario.name for scenario in evidence.scenarios("performance")}


def _table(cases: list[OpenCase], analysis: Analysis) -> Table:
    lateness = {(h.scenario, h.case): h.lateness_p99 for h in analysis.health}
    rows = tuple(
        (
            place_name(case.scenario, case.case),
            _rate(case),
            case.load.process,
            text.count(case.offered),
            text.count(len(case.sent)),
            text.count(len(case.completed)),
            text.count(len(case.cut_off)),
            text.count(case.failed),
            text.rate(case.success),
            text.count(case.most_in_flight),
            text.count(case.held),
            text.milliseconds(lateness.get((case.scenario, case.case))),
        )
        for case in cases
    )
    columns = (
        "Scenario / case", "Rate [jobs/s]", "Arrivals", "Offered", "Sent", "Completed", "Cut off", "Failed",
        "Success % (95 % CI)", "Most in flight", "Held", "Lateness P99 [ms]",
    )  # fmt: skip
    caption = (
        "Measured jobs from the client's records. Offered: due while jobs arrived. Cut off: not finished when the "
        "client stopped waiting, and no success. Held: had to wait for the limit of jobs in flight. Lateness is the "
        "generator's own, without that wait."
    )
    return Table(columns, rows, (columns[1], *columns[3:]), caption)


def _rate(case: OpenCase) -> str:
    burst = f", burst {case.load.burst_rate:g}" if case.load.burst_rate is not None else ""
    return f"{case.load.rate:g}{burst}"


def _unfinished(cases: list[OpenCase]) -> tuple[str, ...]:
    """Every job that was cut off, so that none is left out in silence."""
    items = []
    for case in cases:
        if case.cut_off:
            unsent = sum(1 for job in case.cut_off if job.sent == job.done)
            never = f", {unsent} of them never sent" if unsent else ""
            names = ", ".join(str(job.index) for job in case.cut_off[:LISTED])
            more = f" and {len(case.cut_off) - LISTED} more (`jobs.jsonl`)" if len(case.cut_off) > LISTED else ""
            items.append(
                f"{place_name(case.scenario, case.case)}: {text.counted(len(case.cut_off), 'job')} cut off{never}; by "
                f"index in the plan: {names}{more}. Cut-off jobs count in the percentiles as longer than until then."
            )
    return tuple(items)


def _times(cases: list[OpenCase]) -> Table:
    rows = []
    for case in cases:
        cells = [place_name(case.scenario, case.case), text.count(len(case.completed) + len(case.cut_off))]
        for q in (0.5, 0.95, 0.99):
            found = case.response(q)
            cells.append(f"{text.censored(found)} ({text.censored_limits(found)})" if found else text.NONE)
        rows.append((*cells, text.censored(case.service(0.95))))
    columns = (
        "Scenario / case", "n", "Response P50 (95 % CI)", "Response P95 (95 % CI)", "Response P99 (95 % CI)",
        "Service P95",
    )  # fmt: skip
    caption = (
        "Seconds, exact, of completed and cut-off jobs. Response time counts from when a job was due, service time "
        "from when it was sent: their difference is what a generator hides that does not count from the due time. "
        "`from x`: n is too small for an upper limit. `>= x`: the percentile falls among jobs that were cut off, so "
        "only a lower limit is known."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _drawn(cases: list[OpenCase]) -> list[OpenCase]:
    """The last case of each scenario: of a ramp the highest rate, where the distributions tell most."""
    return list({case.scenario: case for case in cases}.values())


def _distributions(case: OpenCase) -> Chart | None:
    total = len(case.completed) + len(case.cut_off)
    if not case.completed:
        return None
    response = sorted(job.done - job.due for job in case.completed)
    service = sorted(job.done - job.sent for job in case.completed)
    steps = tuple((rank + 1) / total for rank in range(len(response)))
    missing = (
        f" Cut off, and right of all, so that the lines end below 1: {text.counted(len(case.cut_off), 'job')}."
        if case.cut_off
        else ""
    )
    return Chart(
        name=f"open_loop_{case.scenario}",
        kind="steps",
        title=f"Response and service time in {place_name(case.scenario, case.case)}",
        x_label="Time [s]",
        y_label="Share of jobs",
        series=tuple(
            Series(name, (times[0], *times), (0.0, *steps))
            for name, times in (("response time (from due)", response), ("service time (from sent)", service))
        ),
        caption=f"Empirical distributions at {_rate(case)} jobs/s, n = {total}.{missing}",
    )


def _knee(found: Knee) -> list[Block]:
    held, broke = found.held, found.broke
    rates = ", ".join(f"{step.case.load.rate:g}" for step in found.steps)
    if held is None:
        first = f"**Knee:** not even the lowest rate of {found.steps[0].case.load.rate:g} jobs/s holds"
    else:
        first = f"**Knee: {held.case.load.rate:g} jobs/s** is the highest rate that holds (n = {len(held.case.jobs)})"
    if broke is None:
        sentence = f"{first}; no tested rate ({rates}) is too high, so the service may hold more."
    else:
        sentence = f"{first}. At {broke.case.load.rate:g} jobs/s it does not: {'; '.join(broke.broken)}."
    rows = tuple(
        (
            f"{step.case.load.rate:g}",
            text.number(step.case.offered / step.case.load.seconds, 1),
            text.count(step.case.offered),
            text.rate(step.case.success),
            text.censored(step.case.response(0.95)),
            text.percent(step.case.delivered),
            text.count(step.case.backlog(step.case.load.seconds)),
            text.number(step.case.growth.slope if step.case.growth else None),
            "holds" if not step.broken else "**does not hold**",
        )
        for step in found.steps
    )
    columns = (
        "Rate [jobs/s]", "Offered [jobs/s]", "n", "Success % (95 % CI)", "Response P95 [s]", "Ended %",
        "Backlog at the end", "Backlog growth [jobs/s]", "Result",
    )  # fmt: skip
    caption = (
        f"A rate holds when at least {MIN_SUCCESS * 100:g} % of the jobs are completed, P95 of the response time is at "
        f"most {MAX_P95:g} s, at least {MIN_DELIVERED * 100:g} % of the offered jobs come to an end before the "
        "cut-off, and the backlog (due and not done) has no significant upward trend of more than "
        f"{MAX_GROWTH * 100:g} % of the offered jobs, and {FLUCTUATION:g} jobs, over the case."
    )
    return [Bullets((sentence,)), Table(columns, rows, columns[:-1], caption)]


def _spike(found: Spike) -> list[Block]:
    load = found.case.load
    peak = f"{'at least ' if found.peak_at_least else ''}{text.seconds(found.peak)} s"
    if found.recovery is None:
        rest = load.seconds - found.end
        back = f"They were **not back** when jobs stopped arriving, {rest:g} s after the end of the burst."
    elif found.recovery == 0:
        back = "They were back in it as soon as the burst ended, or never left it."
    else:
        back = f"They were back in it **{found.recovery:.2f} s** after the end of the burst."
    sentence = (
        f"**Spike:** {load.burst_rate:g} instead of {load.rate:g} jobs/s for {load.burst_seconds:g} s. Response times "
        f"rose to **{peak}**, the backlog to {found.peak_backlog} jobs. The steady band ends at "
        f"{text.seconds(found.band)} s, P95 of the {found.before} jobs before the burst. {back} Recovery is when the "
        f"median of {GROUP} neighbouring jobs is in the band for good."
    )
    jobs = found.case.completed
    chart = Chart(
        name="spike_course",
        kind="scatter",
        title="Response time through the burst",
        x_label="Due, from the start of the case [s]",
        y_label="Response time [s]",
        series=(
            Series(
                "completed jobs",
                tuple(job.due - found.case.started for job in jobs),
                tuple(job.done - job.due for job in jobs),
            ),
        ),
        caption=f"Each completed job at the time it was due, n = {len(jobs)}; the burst is from {found.begin:g} to "
        f"{found.end:g} s (shaded).",
        limit=(f"steady up to {text.seconds(found.band)} s", found.band),
        span=("burst", found.begin, found.end),
    )
    return [Bullets((sentence,)), chart]
