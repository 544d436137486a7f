"""The parts of a job as the client and the service see them: operations of the API, and stages."""

from __future__ import annotations

from dataclasses import dataclass

from reelbench.reporting.analysis import subjects
from reelbench.reporting.analysis.breakdown import STAGES
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.performance.charts import component_bars
from reelbench.reporting.statistics.intervals import summarize

OPERATION, WAIT = (Role.API_LATENCY_AVG, Role.API_LATENCY_P95), (Role.WAIT_LATENCY_AVG, Role.WAIT_LATENCY_P95)
OPERATIONS = ("create", "retrieve", "list", "content", "manifest", "delete")


@dataclass(frozen=True, slots=True)
class Component:
    """Summed seconds and executions of one stage."""

    stage: str
    name: str
    seconds: float
    executions: int


def api_latency(evidence: Evidence) -> Section:
    """Return the latency of each operation of the API, as the client sees it."""
    title = "API latency by operation"
    scenario = subjects.api_operations(evidence)
    if scenario is None:
        return Section(title, (Paragraph("No scenario of this run calls more of the API than a job needs."),))
    rows = []
    for operation in (*OPERATIONS, "wait"):
        average, tail = WAIT if operation == "wait" else OPERATION
        exact = summarize(evidence.durations(scenario.name, operation))
        p95 = evidence.measured(tail, scenario.name, member=operation)
        if exact is None and (p95 is None or p95.value is None):
            continue
        rows.append(
            (
                f"{operation} (long poll, not judged)" if operation == "wait" else operation,
                text.count(exact.n if exact else 0),
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
        "Operation", "n", "Avg PromQL", "Avg exact", "P95 PromQL", "Bucket", "P95 exact", "Difference %",
        "95 % CI of P95", "Max",
    )  # fmt: skip
    caption = (
        f"Milliseconds at the client, scenario `{scenario.name}`. The long poll lasts until the job is done, so it "
        "measures the job and not the API."
    )
    return Section(title, (Table(columns, tuple(rows), columns[1:8] + columns[9:], caption),))


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


def section(evidence: Evidence) -> Section:
    """Return how long each stage of a job takes in the service."""
    title = "Components of a job"
    scenario, found = measured_scenario(evidence), components(evidence)
    if scenario is None or not found:
        return Section(title, (Paragraph("No scenario of this run measured the stages of a job."),))
    total = sum(part.seconds for part in found)
    rows, averages, tails = [], [], []
    for part in found:
        average = evidence.value(Role.STAGE_AVG, scenario, member=part.stage)
        p95 = evidence.measured(Role.STAGE_P95, scenario, member=part.stage)
        averages.append(average or 0.0)
        tails.append((p95.value if p95 else None) or 0.0)
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
    chart = component_bars([part.name for part in found], [part.executions for part in found], averages, tails)
    blocks: tuple[Block, ...] = (Table(columns, tuple(rows), columns[1:], caption), chart)
    return Section(title, blocks)
