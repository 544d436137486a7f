"""How the jobs of the reliability scenarios ended."""

from __future__ import annotations

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.evidence.evidence import STOPPED, Evidence, place_name
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.statistics.intervals import Proportion, proportion

NORMAL = "normal_operation"
DIMENSION = "reliability"


def success(records: Evidence, scenario: str) -> Proportion | None:
    """Completed of all measured jobs that the user or the plan did not stop; Wilson interval."""
    return _share(records.scenario_jobs(scenario))


def section(evidence: Evidence) -> Section:
    """Success without faults, and beside it with each of them."""
    title = "Success rate under normal conditions"
    found = success(evidence, NORMAL)
    blocks: list[Block] = []
    if evidence.scenario(NORMAL) is None or found is None:
        blocks += not_run(NORMAL)
    else:
        sentence = f"Without faults {text.quoted(found)} of the jobs were completed; the interval is Wilson's."
        blocks.append(Bullets((sentence,)))
    rows = []
    for scenario, case in evidence.cases(DIMENSION):
        jobs = evidence.case_jobs(scenario.name, case.name)
        counts = [sum(1 for job in jobs if job.outcome is outcome) for outcome in Outcome]
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(len(jobs)),
                *(text.count(number) for number in counts),
                text.rate(_share(jobs)),
                text.percent(evidence.value("success_rate", scenario.name, case.name)),
            )
        )
    columns = (
        "Scenario / case", "Jobs", *(str(outcome).capitalize() for outcome in Outcome), "Success % (95 % CI)",
        "Success % PromQL",
    )  # fmt: skip
    caption = (
        "From the client's records. Success is completed of all that were neither cancelled nor aborted. It is "
        "judged where *Objectives* names it: in normal operation, as faults are meant to show in the others, and where "
        "a scenario file says so."
    )
    return Section(title, (*blocks, Table(columns, tuple(rows), columns[1:], caption)))


def _share(jobs: list[JobRecord]) -> Proportion | None:
    ended = [job for job in jobs if job.outcome not in STOPPED]
    return proportion(sum(1 for job in ended if job.outcome is Outcome.COMPLETED), len(ended))
