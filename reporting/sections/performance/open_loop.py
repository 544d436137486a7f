"""Open-loop load: response time from the intended start, the knee of a ramp, the course of a burst."""

from __future__ import annotations

from reelbench.loadgen.record.rate_rule import MIN_ENDED, Result
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.capacity import Knee, Step, knee
from reelbench.reporting.analysis.open_cases import OpenCase, open_cases
from reelbench.reporting.analysis.spike import GROUP, Spike, spikes
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.performance.charts import distribution
from reelbench.reporting.sections.performance.load import send_delays

ALIKE = 0.01
"""Share of the response time up to which a wait before sending cannot be seen in a figure."""
LISTED = 20
"""Cut-off jobs that are listed by index."""


def section(evidence: Evidence) -> Section | None:
    """Return the open cases with their percentiles, the knee and the bursts."""
    names = {scenario.name for scenario in evidence.scenarios(Dimension.PERFORMANCE)}
    cases = [case for case in open_cases(evidence) if case.scenario in names]
    if not cases:
        return (
            None if evidence.foreign else Section("Open-loop load", (Paragraph("No open case is part of this run."),))
        )
    blocks: list[Block] = [_table(evidence, cases)]
    if unfinished := _unfinished(cases):
        blocks.append(Bullets(unfinished))
    blocks.append(_times(cases))
    blocks += _distributions([case for case in _drawn(cases) if case.completed])
    if (found := _ramp(evidence)) is not None:
        blocks += _knee(found)
    blocks += [block for each in _bursts(evidence) for block in _spike(each)]
    return Section("Open-loop load", tuple(blocks))


def key_figures(evidence: Evidence) -> list[str]:
    """Return the key metrics of bursts, a sentence each; *Capacity* has that of the ramp."""
    return [
        f"Recovery after a burst of {each.case.load.burst_rate:g} jobs/s: **{each.recovery:.2f} s** (n = 1 burst, "
        f"followed by {each.after} jobs; without an interval)."
        for each in _bursts(evidence)
        if each.recovery is not None
    ]


def _ramp(evidence: Evidence) -> Knee | None:
    found = subjects.ramp(evidence)
    return knee(evidence, found.name) if found else None


def _bursts(evidence: Evidence) -> list[Spike]:
    return [each for scenario in subjects.bursts(evidence) for each in spikes(evidence, scenario.name)]


def _table(evidence: Evidence, cases: list[OpenCase]) -> Table:
    delays = send_delays(evidence)
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
            text.milliseconds(delays.get((case.scenario, case.case))),
        )
        for case in cases
    )
    columns = (
        "Scenario / case", "Rate [jobs/s]", "Arrivals", "Offered", "Sent", "Completed", "Cut off", "Failed",
        "Success % (95 % CI)", "Most in flight", "Held", "Send delay P99 [ms]",
    )  # fmt: skip
    caption = (
        "Measured jobs from the client's records. Offered: jobs that arrived. Cut off: unfinished when the client "
        "stopped waiting; they count as not successful. Held: waited for the limit of jobs in flight. The send delay "
        "is the generator's own, without that wait."
    )
    return Table(columns, rows, (columns[1], *columns[3:]), caption)


def _rate(case: OpenCase) -> str:
    burst = f", burst {case.load.burst_rate:g}" if case.load.burst_rate is not None else ""
    return f"{case.load.rate:g}{burst}"


def _unfinished(cases: list[OpenCase]) -> tuple[str, ...]:
    """Return every job that was cut off, by index."""
    items = []
    for case in cases:
        if case.cut_off:
            unsent = sum(1 for job in case.cut_off if job.sent == job.done)
            never = f", {unsent} of them before they were sent" if unsent else ""
            names = ", ".join(str(job.index) for job in case.cut_off[:LISTED])
            more = f" and {len(case.cut_off) - LISTED} more (`jobs.jsonl`)" if len(case.cut_off) > LISTED else ""
            items.append(
                f"{place_name(case.scenario, case.case)}: {text.counted(len(case.cut_off), 'job')} cut off{never}; by "
                f"index in the plan: {names}{more}. In the percentiles "
                "a cut-off job counts as longer than it was observed."
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
        "Seconds, exact, of completed and cut-off jobs. Response time counts from the intended start, service time "
        "from sending: the difference is what a generator with coordinated omission hides. `from x`: n is too small "
        "for an upper limit. `≥ x`: the percentile falls among jobs that were cut off, so only a lower limit is known."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _drawn(cases: list[OpenCase]) -> list[OpenCase]:
    """Return the last case of each scenario: of a ramp, the highest rate."""
    return list({case.scenario: case for case in cases}.values())


def _distributions(cases: list[OpenCase]) -> list[Chart]:
    """Return one figure of all these cases."""
    if not cases:
        return []
    series, sentences = [], []
    for case in cases:
        total = len(case.completed) + len(case.cut_off)
        place = place_name(case.scenario, case.case)
        before = f"{place}: " if len(cases) > 1 else ""
        response = sorted(job.done - job.due for job in case.completed)
        series.append(distribution(f"{before}response time (from intended start)", response, total))
        sentence = f"{place} at {_rate(case)} jobs/s, n = {total}"
        if any(late > ALIKE * seconds for late, seconds in _waits(case)):
            service = sorted(job.done - job.sent for job in case.completed)
            series.append(distribution(f"{before}service time (from sending)", service, total))
        else:
            sentence += f" (service times, from sending, differ by at most {ALIKE:.0%} and are not drawn)"
        if case.cut_off:
            sentence += f" (ends below 1, as {text.counted(len(case.cut_off), 'job')} were cut off)"
        sentences.append(sentence)
    return [
        Chart(
            name="open_loop",
            kind="steps",
            title="Response times under open-loop load",
            x_label="Time [s]",
            y_label="Share of jobs",
            series=tuple(series),
            caption=f"Empirical distributions of {'; '.join(sentences)}.",
        )
    ]


def _waits(case: OpenCase) -> list[tuple[float, float]]:
    """Return for each completed job the seconds between its intended start and its sending, and its response time."""
    return [(job.sent - job.due, job.done - job.due) for job in case.completed]


def _knee(found: Knee) -> list[Block]:
    rows = tuple(
        (
            f"{step.case.load.rate:g}",
            text.number(step.case.offered / step.case.load.seconds, 1),
            text.count(step.case.offered),
            text.rate(step.case.success),
            text.censored(step.case.response(0.95)),
            text.percent(step.case.delivered),
            text.number(step.found.growth.completion, 1),
            text.count(step.case.backlog(step.case.load.seconds)),
            f"{step.found.growth.added:+d}",
            text.number(step.found.growth.tolerance, 1),
            _result(found, step),
        )
        for step in found.steps
    )
    columns = (
        "Rate [jobs/s]", "Offered [jobs/s]", "n", "Success % (95 % CI)", "Response P95 [s]", "Ended %",
        "Completion [jobs/s]", "Backlog at the end", "Backlog growth", "Growth by chance", "Result",
    )  # fmt: skip
    limits = found.limits
    p95 = "" if limits.response_p95 is None else f"P95 of the response time is ≤ {limits.response_p95:g} s, "
    caption = (
        f"A rate holds when success is ≥ {limits.success * 100:g} %, {p95}≥ {MIN_ENDED * 100:g} % of the offered jobs "
        "end before the cut-off, and the backlog (arrived and not done) grows by no more jobs than chance explains. "
        "Completion and growth are of the part after the service has filled. Above a rate that does not hold, no rate "
        "holds. A rate at which the load generator was late is inconclusive."
    )
    return [Bullets((_statement(found), *_inconclusive(found))), Table(columns, rows, columns[:-1], caption)]


def _statement(found: Knee) -> str:
    held, broke = found.held, found.broke
    if held is None:
        lowest = f"{found.steps[0].case.load.rate:g} jobs/s"
        first = f"**Knee:** the lowest rate, {lowest}, {found.result(found.steps[0])}" if broke else "**Knee:** unknown"
    else:
        first = f"**Knee: {held.case.load.rate:g} jobs/s** is the highest rate that holds (n = {len(held.case.jobs)})"
    if broke is not None:
        return f"{first}. {broke.case.load.rate:g} jobs/s does not hold: {'; '.join(broke.broken)}."
    if held is None:
        return f"{first}; no rate gave a conclusive result."
    rates = ", ".join(f"{step.case.load.rate:g}" for step in found.steps)
    return f"{first}; none of the tested rates ({rates}) fails, so the service may hold more."


def _inconclusive(found: Knee) -> tuple[str, ...]:
    return tuple(f"{step.case.load.rate:g} jobs/s is **inconclusive**: {step.why}." for step in found.open)


def _result(found: Knee, step: Step) -> str:
    result = found.result(step)
    if result is step.result:
        return result.value if result is Result.HOLDS else f"**{result}**"
    other = found.broke if result is Result.FAILS else found.held
    return f"{result}, as {other.case.load.rate:g} {result}" if other is not None else result.value


def _spike(found: Spike) -> list[Block]:
    load = found.case.load
    peak = f"{'≥ ' if found.peak_at_least else ''}{text.seconds(found.peak)} s"
    band = f"the running median of {GROUP} jobs stayed below {text.seconds(found.band)} s"
    if found.recovery is None:
        rest = load.seconds - found.end
        back = f"Response times had **not returned** to that range when arrivals ended, {rest:g} s after the burst"
    elif found.recovery == 0:
        back = f"Response times were in the pre-burst range from the end of the burst on: {band}"
    else:
        back = f"Response times returned to the pre-burst range **{found.recovery:.2f} s** after the burst: {band}"
    sentence = (
        f"**Burst:** {load.burst_rate:g} instead of {load.rate:g} jobs/s for {load.burst_seconds:g} s. Response times "
        f"rose to **{peak}**, the backlog to {found.peak_backlog} jobs. The pre-burst range ends at "
        f"{text.seconds(found.band)} s, the P95 of the {found.before} jobs before the burst. {back}."
    )
    jobs = found.case.completed
    chart = Chart(
        name=f"{found.case.scenario}_course",
        kind="scatter",
        title="Response time through the burst",
        x_label="Intended start, from the start of the case [s]",
        y_label="Response time [s]",
        series=(
            Series(
                "completed jobs",
                tuple(job.due - found.case.started for job in jobs),
                tuple(job.done - job.due for job in jobs),
            ),
        ),
        caption=f"Each completed job at its intended start, n = {len(jobs)}; the burst is from {found.begin:g} to "
        f"{found.end:g} s (shaded).",
        limit=(f"pre-burst range up to {text.seconds(found.band)} s", found.band),
        span=("burst", found.begin, found.end),
    )
    return [Bullets((sentence,)), chart]
