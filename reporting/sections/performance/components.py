"""The components of a job: where the service spends its time."""

from __future__ import annotations

from reelbench.reporting.analysis.breakdown import STAGES
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.sections.performance.charts import component_bars
from reelbench.reporting.sections.performance.recommendations import Part

SCENARIO = "component_speed"


def parts_of(evidence: Evidence) -> tuple[Part, ...]:
    """The components that ran, in the order of a job."""
    return tuple(
        Part(title, seconds, round(executions))
        for stage, title in STAGES.items()
        if (seconds := evidence.value("stage_sum", SCENARIO, member=stage)) is not None
        and (executions := evidence.value("stage_n", SCENARIO, member=stage))
    )


def section(evidence: Evidence) -> Section:
    """What the service does with its time."""
    title = "Components of a job"
    if evidence.scenario(SCENARIO) is None:
        return Section(title, not_run(SCENARIO))
    parts = {part.name: part for part in parts_of(evidence)}
    total = sum(part.seconds for part in parts.values())
    rows = []
    for stage, name in STAGES.items():
        p95 = evidence.measured("stage_p95", SCENARIO, member=stage)
        part = parts.get(name)
        rows.append(
            (
                name,
                text.count(part.executions if part else None),
                text.seconds(evidence.value("stage_avg", SCENARIO, member=stage)),
                text.seconds(p95.value if p95 else None),
                text.bucket(p95.bound if p95 else None),
                text.seconds(part.seconds if part else None),
                text.percent(part.seconds / total if part and total else None),
            )
        )
    columns = ("Component", "n", "Avg [s]", "P95 [s]", "P95 bucket [s]", "Sum [s]", "Share %")
    caption = (
        "From the service's own stage durations (PromQL), warm-up left out, failed executions included. Speech and "
        "visuals run once a scene, concurrently: the share is of summed time, not of the time that a user waits."
    )
    blocks: list[Block] = [Table(columns, tuple(rows), columns[1:], caption)]
    if parts:
        shown = [stage for stage, name in STAGES.items() if name in parts]
        blocks.append(
            component_bars(
                tuple(parts),
                [part.executions for part in parts.values()],
                [evidence.value("stage_avg", SCENARIO, member=stage) or 0.0 for stage in shown],
                [evidence.value("stage_p95", SCENARIO, member=stage) or 0.0 for stage in shown],
            )
        )
    return Section(title, tuple(blocks))
