"""Objectives of a run, and servers of other makers."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from reelbench.loadgen.record.run import BudgetRecord, ServerRecord
from reelbench.reporting.analysis.objectives import canonical, of_run
from reelbench.reporting.analysis.verdicts import Status, analyse
from reelbench.reporting.document.report import Bullets
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections import verdict
from tests.reporting.evidence_of import CATALOGUE, measurement, only, taking
from tests.reporting.made_run import MadeRun

FOREIGN = ServerRecord(name="vllm_omni", title="vLLM-Omni", ours=False, model="wan")


NAME = "single_request"


def judged(made: MadeRun, *, value: float = 90.0, n: int = 100, **changes: object) -> Evidence:
    """The run of one case whose jobs all take as long."""
    run = msgspec.structs.replace(only(made.run, NAME), **changes)
    found = taking(made, NAME, value, n, run)
    asked = measurement("response_time_p95", NAME, "n01", value=value, n=n)
    whole = msgspec.structs.replace(found.measurements, measurements=(*found.measurements.measurements, asked))
    found = replace(found, measurements=whole)
    return replace(found, catalogue=of_run(found.catalogue, found.run))


def statuses(found: Evidence) -> list[tuple[str, Status, float]]:
    return [
        (v.sli.id, v.status, v.objective.value)
        for v in analyse(found, "performance").verdicts
        if v.sli.id == "response_time_p95"
    ]


def remarks(found: Evidence) -> list[str]:
    section = verdict.verdict(found, analyse(found, "performance"), "performance")
    return [item for block in section.blocks if isinstance(block, Bullets) for item in block.items]


def test_the_default_of_the_mock_does_not_judge_another_makers_server(made: MadeRun) -> None:
    found = judged(made, server=FOREIGN)
    assert statuses(found) == []
    (line,) = [line for line in remarks(found) if line.startswith("Measured without an objective")]
    assert "`response_time_p95`" in line


@pytest.mark.parametrize(("limit", "status"), [(120.0, Status.PASS), (80.0, Status.FAIL)])
def test_an_objective_of_the_run_judges_any_server(made: MadeRun, limit: float, status: Status) -> None:
    found = judged(made, server=FOREIGN, objectives={"response_time_p95": limit})
    assert statuses(found) == [("response_time_p95", status, limit)]


def test_our_own_service_is_judged_by_the_default(made: MadeRun) -> None:
    assert statuses(judged(made)) == [("response_time_p95", Status.FAIL, 2.0)]


def test_an_indicator_without_a_default_is_judged_by_the_objective_of_the_run(made: MadeRun) -> None:
    run = msgspec.structs.replace(made.run, objectives={"response_time_avg": 50.0})
    sli = of_run(CATALOGUE, run).get("response_time_avg")
    assert sli.objective is not None
    assert (sli.objective.value, sli.objective.direction, sli.objective.scenarios) == (50.0, "at_most", ())


def test_the_highest_concurrency_is_judged_where_the_run_has_not_that_of_the_catalogue(made: MadeRun) -> None:
    scenario = made.run.scenarios[0]
    cases = [msgspec.structs.replace(scenario.cases[0], name=f"n{n}", concurrency=n) for n in (1, 4)]
    small = msgspec.structs.replace(scenario, name="mine", cases=cases)
    run = msgspec.structs.replace(made.run, scenarios=[small], objectives={"throughput": 0.01})
    objective = of_run(CATALOGUE, run).get("throughput").objective
    assert objective is not None
    assert (objective.value, objective.concurrency, objective.scenarios) == (0.01, 4, ())


def test_an_unknown_objective_of_a_run_is_reported(made: MadeRun) -> None:
    found = judged(made, objectives={"p95": 3.0})
    assert (
        "The run sets an objective for 'p95', which is no indicator with a better direction"
        in analyse(found, "performance").problems
    )


@pytest.mark.parametrize(
    ("name", "sli"),
    [("p95_response_time", "response_time_p95"), ("response_time_p95", "response_time_p95"), ("speed", None)],
)
def test_the_words_of_a_name_are_accepted_in_any_order(name: str, sli: str | None) -> None:
    assert canonical(name, CATALOGUE) == sli


def test_the_report_says_what_a_time_budget_leaves_open(made: MadeRun) -> None:
    budget = BudgetRecord(seconds=1200, job_seconds=75, expected=1050, jobs=14, left_out=["ramp: too fast"])
    found = judged(made, n=6, budget=budget, objectives={"response_time_p95": 120.0})
    lines = remarks(found)
    assert (
        "Planned for a time budget of 20 min: the calibration job took 75 s, 14 jobs were planned, "
        "1 part of the plan left out (appendix, Environment)."
    ) in lines
    (left,) = [line for line in lines if line.startswith("The budget leaves open")]
    assert left == "The budget leaves open: P95 response time in single_request / n01."
