"""A burst of arrivals on the real embedded stack, run with the users' command."""

from __future__ import annotations

import json

import pytest

from reelbench.loadgen.record.jobs import Outcome, read_jobs
from tests.acceptance import SuiteRun, needs


@needs("spike")
@pytest.mark.acceptance
def test_a_spike_is_sent_as_planned_reconciled_and_reported(suite: SuiteRun) -> None:
    (case,) = suite.scenario("spike").cases
    lines = (json.loads(line) for line in (suite.folder / "plan.jsonl").read_text().splitlines())
    planned = [line["due"] for line in lines if line["scenario"] == "spike" and "due" in line]
    jobs = sorted((job for job in read_jobs(suite.folder) if job.scenario == "spike"), key=lambda job: job.index)
    assert case.started is not None
    assert len(planned) == 60
    assert [job.due - case.started for job in jobs] == pytest.approx(planned, abs=1e-5)
    assert all(job.sent >= job.due for job in jobs)
    assert {job.outcome for job in jobs} == {Outcome.COMPLETED}
    report = suite.report("performance").read_text()
    assert "counts the same jobs as the client's log" in report
    assert "**Burst:** 30 instead of 6 jobs/s for 1 s." in report
    assert (suite.report("performance").parent / "figures" / "spike_course.svg").is_file()
