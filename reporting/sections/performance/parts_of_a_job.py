"""The parts of a job: operations of the API, stages, and the critical path."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.breakdown import AROUND, BETWEEN, PARTS, QUEUE, STAGES, Breakdown
from reelbench.reporting.analysis.paths import path_of
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Chart, Paragraph, Section, Series, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.performance.charts import component_bars
from reelbench.reporting.statistics.intervals import summarize

OPERATION, WAIT = (Role.API_LATENCY_AVG, Role.API_LATENCY_P95), (Role.WAIT_LATENCY_AVG, Role.WAIT_LATENCY_P95)
OPERATIONS = ("create", "retrieve", "list", "content", "manifest", "delete")


class Component(msgspec.Struct, frozen=True):
    """Summed seconds and executions of one stage."""

    stage: str
    name: str
    seconds: float
    executions: int


def api_latency(evidence: Evidence) -> Section | None:
    """Return the latency of each operation of the API, as the client sees it."""
    title = "API latency by operation"
    scenario = subjects.api_operations(evidence)
    if scenario is None:
        return (
            None
            if evidence.foreign
            else Section(title, (Paragraph("No scenario of this run calls more of the API than a job needs."),))
        )
    rows = []
    for operation in (*OPERATIONS, "wait"):
        average, tail = WAIT if operation == "wait" else OPERATION
        exact = summarize(evidence.durations(scenario.name, operation))
        p95 = evidence.measured(tail, scenario.name, member=operation)
        failed = evidence.requests.failures(scenario.name, operation).total()
        if exact is None and not failed and (p95 is None or p95.value is None):
            continue
        rows.append(
            (
                f"{operation} (long poll, not judged)" if operation == "wait" else operation,
                text.count(exact.n if exact else 0),
                text.count(failed),
                text.milliseconds(evidence.value(average, scenario.name, member=operation)),
                text.milliseconds(exact.average if exact else None),
                text.milliseconds(p95.value if p95 else None),
                text.bucket(p95.bound if p95 else None, "ms"),
                text.milliseconds(exact.p95.value if exact else None),
                text.relative(p95.value if p95 else None, exact.p95.value if exact else None),
                text.interval(exact.p95.interval, "ms") if exact else text.NONE,
                text.milliseconds(exact.maximum if exact else None),
            )
        )
    columns = (
        "Operation", "n", "Failed", "Avg PromQL [ms]", "Avg exact [ms]", "P95 PromQL [ms]", "Bucket [ms]",
        "P95 exact [ms]", "Difference %", "95 % CI of P95 [ms]", "Max [ms]",
    )  # fmt: skip
    caption = (
        f"Milliseconds at the client, scenario `{scenario.name}`, of requests answered with 2xx; others are counted as "
        "failed and left out. The long poll lasts until the job is done, so it "
        "measures the job and not the API."
    )
    return Section(title, (Table(columns, tuple(rows), columns[1:9] + columns[10:], caption),))


def measured_scenario(evidence: Evidence) -> str | None:
    """Return the scenario in which the stages were measured."""
    sli = evidence.catalogue.of_role(Role.STAGE_N)
    found = (m.scenario for m in evidence.measurements.measurements if sli and m.sli == sli.id and m.value)
    return next(found, None)


def components(evidence: Evidence) -> tuple[Component, ...]:
    """Return the stages that ran, in the order of a job."""
    scenario = measured_scenario(evidence)
    return tuple(
        Component(stage, name, seconds, round(executions))
        for stage, name in STAGES.items()
        if scenario
        and (seconds := evidence.value(Role.STAGE_SUM, scenario, member=stage)) is not None
        and (executions := evidence.value(Role.STAGE_N, scenario, member=stage))
    )


def stages(evidence: Evidence) -> Section | None:
    """Return how long each stage of a job takes in the service."""
    title = "Components of a job"
    scenario, found = measured_scenario(evidence), components(evidence)
    if scenario is None or not found:
        return (
            None
            if evidence.foreign
            else Section(title, (Paragraph("No scenario of this run measured the stages of a job."),))
        )
    total = sum(part.seconds for part in found)
    rows, averages, tails, bounds = [], [], [], []
    for part in found:
        average = evidence.value(Role.STAGE_AVG, scenario, member=part.stage)
        p95 = evidence.measured(Role.STAGE_P95, scenario, member=part.stage)
        averages.append(average or 0.0)
        tails.append((p95.value if p95 else None) or 0.0)
        bounds.append(p95.bound if p95 else None)
        rows.append(
            (
                part.name,
                text.count(part.executions),
                text.seconds(average),
                text.seconds(p95.value if p95 else None),
                text.bucket(p95.bound if p95 else None),
                text.seconds(part.seconds),
                text.percent(part.seconds / total if total else None),
            )
        )
    columns = ("Component", "n", "Avg [s]", "P95 [s]", "P95 bucket [s]", "Sum [s]", "Share %")
    caption = (
        f"Stage durations of the service (PromQL) in `{scenario}`, without warm-up, with failed executions. Speech and "
        "visuals run once per scene, concurrently: the share is of summed time, not of the time a user waits."
    )
    names, sizes = [part.name for part in found], [part.executions for part in found]
    chart = component_bars(names, sizes, averages, tails, bounds)
    blocks: tuple[Block, ...] = (Table(columns, tuple(rows), columns[1:], caption), chart)
    return Section(title, blocks)


WHERE_TITLE = "Where the time goes"
NO_SERVER_SPANS = (
    "The server sends no spans to this run's trace store, so the critical path of a job cannot be divided into queue "
    "and work. The server's own metrics and the times in its answers have sections of their own, where it shows any."
)
DETAILS, DETAILS_ANCHOR = "Critical path", "critical-path"
BRIEFLY = (
    "The parts of the critical path of completed measured jobs, from their traces: they add up to the response time."
)
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


class _Level(msgspec.Struct, frozen=True):
    scenario: str
    place: str
    path: Breakdown


def critical_path(evidence: Evidence) -> Section:
    """Return queue, work and largest stage of every case, and a chart of all parts."""
    if why := _missing(evidence):
        return Section(WHERE_TITLE, (Paragraph(why),))
    found = _levels(evidence)
    lead = Paragraph(f"{BRIEFLY} [Every part of every case](#appendix-performance-{DETAILS_ANCHOR}).")
    return Section(WHERE_TITLE, (lead, _overview(found), _chart(found)))


def critical_path_details(evidence: Evidence) -> Section | None:
    """Return the method, every part of every case, and own and provider time of the levels of load."""
    if _missing(evidence):
        return None
    found = _levels(evidence)
    load = subjects.load_levels(evidence, Dimension.PERFORMANCE)
    detailed = [level for level in found if load and level.scenario == load.name] or found
    blocks: tuple[Block, ...] = (Paragraph(METHOD), _matrix(found), *(_table(level) for level in detailed))
    return Section(DETAILS, blocks)


def _missing(evidence: Evidence) -> str:
    """Return why there is no critical path; empty where there is one."""
    if evidence.traces.absent:
        return f"Traces not available: {evidence.traces.absent}."
    found = _levels(evidence)
    if evidence.foreign and all(level.path.work == 0 for level in found):
        return NO_SERVER_SPANS
    return "" if found else "No trace of a completed job was found."


def _levels(evidence: Evidence) -> tuple[_Level, ...]:
    return tuple(
        _Level(scenario.name, place_name(scenario.name, case.name), path)
        for scenario, case in evidence.cases(Dimension.PERFORMANCE)
        if (path := path_of(evidence, scenario.name, case.name)) is not None
    )


def _overview(found: Sequence[_Level]) -> Table:
    rows = tuple(
        (
            level.place,
            text.count(level.path.n),
            text.seconds(level.path.response),
            *(
                shown
                for seconds in (level.path.seconds(QUEUE), level.path.work, level.path.seconds(*AROUND))
                for shown in (text.seconds(seconds), text.percent(seconds / level.path.response))
            ),
            *_largest(level.path),
        )
        for level in found
    )
    columns = (
        "Scenario / case", "n traces", "Mean response [s]", "Queue [s]", "Queue %", "Work [s]", "Work %",
        "Client and API [s]", "Client and API %", "Largest stage", "Stage [s]", "Stage %", "Halving it saves at most %",
    )  # fmt: skip
    missing = sum(level.path.asked - level.path.n for level in found)
    lost = f" Not found: {text.counted(missing, 'trace')}." if missing else ""
    sampled = any(level.path.asked < level.path.completed for level in found)
    how = "a seeded sample of the completed jobs" if sampled else "of all completed jobs"
    how += " of the part of the case that *Response time* names"
    caption = (
        f"Means over n traces, {how}; seconds on the critical path and their share. Work: time of the service and its "
        f"providers on the job. Client and API: submission, other requests, polling and download.{lost} {ASSUMPTION}"
    )
    numeric = tuple(column for column in columns[1:] if column != "Largest stage")
    return Table(columns, rows, numeric, caption)


def _largest(path: Breakdown) -> tuple[str, str, str, str]:
    """Return the stage with the largest share of the critical path; dashes where the traces have no stages."""
    stages = [part for part in STAGES.values() if part in path.parts]
    if not stages:
        return (text.NONE, text.NONE, text.NONE, text.NONE)
    longest = max(stages, key=path.seconds)
    seconds = path.seconds(longest)
    share = seconds / path.response
    return longest, text.seconds(seconds), text.percent(share), text.percent(share / 2)


def _matrix(found: Sequence[_Level]) -> Table:
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


def _chart(found: Sequence[_Level]) -> Chart:
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
