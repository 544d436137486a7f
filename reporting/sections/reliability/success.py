"""Success rate: how the jobs of the reliability scenarios ended."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.analysis import subjects
from reelbench.reporting.catalogue.sli import Role
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, place_name
from reelbench.reporting.statistics.intervals import Proportion, proportion


def success(evidence: Evidence) -> Proportion | None:
    """Return the share of completed jobs in normal operation, without stopped ones; Wilson interval."""
    normal = subjects.normal_operation(evidence)
    return _share(evidence.scenario_jobs(normal.name)) if normal else None


def section(evidence: Evidence) -> Section:
    """Return the success rate without faults, and the outcomes of every case."""
    normal, found = subjects.normal_operation(evidence), success(evidence)
    blocks: list[Block] = [Paragraph("No scenario of this run is free of faults and cancellations.")]
    if normal and found:
        blocks = [
            Bullets((f"Jobs completed without faults (`{normal.name}`): {text.quoted(found)}, Wilson interval.",))
        ]
    rows = []
    for scenario, case in evidence.cases(Dimension.RELIABILITY):
        jobs = evidence.case_jobs(scenario.name, case.name)
        counts = [sum(1 for job in jobs if job.outcome is outcome) for outcome in Outcome]
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(len(jobs)),
                *(text.count(number) for number in counts),
                text.rate(_share(jobs)),
                text.percent(evidence.value(Role.SUCCESS_RATE, scenario.name, case.name)),
            )
        )
    columns = (
        "Scenario / case", "Jobs", *(str(outcome).capitalize() for outcome in Outcome), "Success % (95 % CI)",
        "Success % PromQL",
    )  # fmt: skip
    caption = (
        "From the client's records. Success: completed jobs, of all that were neither cancelled nor aborted. Only the "
        "scenarios under *Objectives* are judged by it: with faults, failed jobs are expected."
    )
    return Section("Success rate", (*blocks, Table(columns, tuple(rows), columns[1:], caption)))


def _share(jobs: list[JobRecord]) -> Proportion | None:
    ended = [job for job in jobs if job.outcome not in STOPPED]
    return proportion(sum(1 for job in ended if job.outcome is Outcome.COMPLETED), len(ended))
