"""Acceptance: every resources scenario and objective, on the running stack."""

from __future__ import annotations

import pytest

from tests.acceptance import REPORTS, SuiteRun, each, judged, names, needs

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("scenario", each((name,) for name in names("resources")))
def test_the_scenario_ran_as_planned_and_counts_agree(suite: SuiteRun, scenario: str) -> None:
    suite.accept(scenario)


@pytest.mark.parametrize(("scenario", "sli"), each(judged("resources")))
def test_the_objective_holds(suite: SuiteRun, scenario: str, sli: str) -> None:
    suite.judge(scenario, sli)


@needs(*names("resources"))
def test_every_verdict_has_a_test(suite: SuiteRun) -> None:
    assert suite.judged("resources") == set(judged("resources", suite.record.profile))


@needs(*names("resources"))
def test_generate_resources_report(suite: SuiteRun) -> None:
    suite.publish("resources")
    text = (REPORTS / "resources_report.md").read_text()
    appendix = (REPORTS / "appendix.md").read_text()
    assert text.startswith(f"# Resources report of run {suite.record.run_id}\n")
    assert all(name in appendix for name in names("resources"))
