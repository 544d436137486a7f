"""Where the time goes: the critical path of the jobs of each case, and what a faster part could save."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.breakdown import AROUND, BETWEEN, PARTS, QUEUE, STAGES, Breakdown, breakdown
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.evidence.trace_sampling import level_sample

TITLE = "Where the time goes"
METHOD = (
    "The critical path of completed measured jobs, from their traces: at every moment the span that the end of the job "
    "was waiting for, found backwards from the end over the children that finished last (CRISP, USENIX ATC 2022). "
    "Concurrent work off the path is left out, so the parts add up to the response time. Where clocks of processes "
    "differ, a span is cut to the span that called it. A provider that sends no spans counts as call."
)
ASSUMPTION = (
    "The bound of a faster part assumes that all other times stay the same. The gain is smaller where concurrent work "
    "then becomes the critical path, as with visuals and speech. Where jobs queue, a faster part also shortens the "
    "queue, which the bound leaves out."
)
CHARTED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Client and API", AROUND),
    (QUEUE, (QUEUE,)),
    *((title, (title,)) for title in STAGES.values()),
    (BETWEEN, (BETWEEN,)),
)
"""Pieces of a bar, no more than there are distinct colours."""


@dataclass(frozen=True, slots=True)
class _Level:
    scenario: str
    place: str
    concurrency: int
    path: Breakdown


def section(evidence: Evidence) -> Section:
    """Return tables and a chart by case, part by part for the levels of load."""
    if evidence.traces.absent:
        return Section(TITLE, (Paragraph(f"Traces not available: {evidence.traces.absent}."),))
    found = _levels(evidence)
    if not found:
        return Section(TITLE, (Paragraph("No trace of a completed job was found."),))
    blocks: list[Block] = [Paragraph(METHOD), _overview(found), _chart(found), _matrix(found)]
    if advice := tuple(filter(None, (_advice(level) for level in found))):
        blocks += [Bullets(advice), Paragraph(ASSUMPTION)]
    load = subjects.load_levels(evidence, Dimension.PERFORMANCE)
    detailed = [level for level in found if load and level.scenario == load.name] or found
    return Section(TITLE, (*blocks, *(_table(level) for level in detailed)))


def _levels(evidence: Evidence) -> list[_Level]:
    levels = []
    for scenario, case in evidence.cases(Dimension.PERFORMANCE):
        completed = sum(1 for j in evidence.case_jobs(scenario.name, case.name) if j.outcome is Outcome.COMPLETED)
        jobs = level_sample(evidence, scenario.name, case.name, evidence.traces.per_case)
        path = breakdown(jobs, evidence.traces.spans, completed)
        if path and path.response > 0:  # a response that took no time has no shares
            place = place_name(scenario.name, case.name)
            levels.append(_Level(scenario.name, place, case.concurrency, path))
    return levels


def _overview(found: list[_Level]) -> Table:
    rows = tuple(
        (
            level.place,
            text.count(level.concurrency or None),
            text.count(level.path.n),
            text.count(level.path.completed),
            text.seconds(level.path.response),
            *(
                shown
                for seconds in (level.path.seconds(QUEUE), level.path.work, level.path.seconds(*AROUND))
                for shown in (text.seconds(seconds), text.percent(seconds / level.path.response))
            ),
        )
        for level in found
    )
    columns = (
        "Scenario / case", "In flight", "n traces", "Completed jobs", "Mean response [s]", "Queue [s]", "Queue %",
        "Work [s]", "Work %", "Client and API [s]", "Client and API %",
    )  # fmt: skip
    missing = sum(level.path.asked - level.path.n for level in found)
    lost = f" Not found: {text.counted(missing, 'trace')}." if missing else ""
    sampled = any(level.path.asked < level.path.completed for level in found)
    how = "a seeded sample where n is below the number of completed jobs" if sampled else "of all completed jobs"
    caption = (
        f"Means over n traces, {how}; seconds on the critical path and their share. Work: time of the service and its "
        "providers on the job. Client and API: submission, other requests, polling and download. Open cases have no "
        f"fixed number in flight.{lost}"
    )
    return Table(columns, rows, columns[1:], caption)


def _matrix(found: list[_Level]) -> Table:
    parts = [part for part in PARTS if any(part in level.path.parts for level in found)]

    def cell(path: Breakdown, part: str) -> str:
        if part not in path.parts:
            return text.NONE
        return f"{text.seconds(path.seconds(part))} ({text.percent(path.seconds(part) / path.response, 0)} %)"

    rows = tuple((level.place, *(cell(level.path, part) for part in parts)) for level in found)
    columns = ("Scenario / case", *parts)
    caption = (
        "Mean seconds on the critical path and their share. A part that takes half as long saves at most half of that."
    )
    return Table(columns, rows, columns[1:], caption)


def _table(level: _Level) -> Table:
    path = level.path
    rows: list[tuple[str, ...]] = [
        (
            part,
            text.seconds(share.seconds),
            text.percent(share.seconds / path.response),
            text.seconds(share.own),
            text.seconds(share.call) if part in STAGES.values() else text.NONE,
            text.seconds(share.provider) if part in STAGES.values() else text.NONE,
            f"{text.seconds(share.seconds / 2)} ({text.percent(share.seconds / 2 / path.response)} %)",
        )
        for part, share in ((part, path.parts[part]) for part in PARTS if part in path.parts)
    ]
    rows.append(("**Response time**", text.seconds(path.response), text.percent(1.0), *[text.NONE] * 4))
    columns = (
        "Part", "Mean [s]", "Share %", "Own [s]", "Call to provider [s]", "In provider [s]",
        "Halving it saves at most [s]",
    )  # fmt: skip
    traces = text.counted(path.n, "trace")
    caption = f"Critical path in {level.place}, mean of {traces}; own time includes waits between attempts."
    return Table(columns, tuple(rows), columns[1:], caption)


def _advice(level: _Level) -> str | None:
    """Return the stage with the largest share of the critical path; None where the traces have no stages."""
    path = level.path
    stages = [part for part in STAGES.values() if part in path.parts]
    if not stages:
        return None
    longest = max(stages, key=lambda part: path.parts[part].seconds)
    seconds = path.parts[longest].seconds
    share = seconds / path.response
    sentence = (
        f"{level.place}: {longest} has the largest share of the critical path, **{text.seconds(seconds)} s** "
        f"({text.percent(share)} %, n = {path.n}); halving it saves at most {text.seconds(seconds / 2)} s "
        f"({text.percent(share / 2)} %)."
    )
    queue = path.seconds(QUEUE)
    if queue <= seconds:
        return sentence
    waited = f"{text.seconds(queue)} s ({text.percent(queue / path.response)} %)"
    return f"{sentence} The queue takes longer than any stage: {waited}."


def _chart(found: list[_Level]) -> Chart:
    pieces = [(name, parts) for name, parts in CHARTED if any(level.path.seconds(*parts) for level in found)]
    sizes = ", ".join(f"{level.path.n} in {level.place}" for level in found)
    return Chart(
        name="critical_path",
        kind="stacked",
        title="Critical path of a job",
        x_label="Mean response time [s]",
        y_label="",
        labels=tuple(level.place for level in found),
        series=tuple(Series(name, (), tuple(level.path.seconds(*parts) for level in found)) for name, parts in pieces),
        caption=f"Mean seconds on the critical path by part, n traces = {sizes}.",
    )
