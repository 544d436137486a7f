"""A burst of arrivals on the real embedded stack, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadgen.record import Outcome, read_jobs, read_run
from stack.prometheus import PrometheusBinary
from tests.scripts.test_suite import left_behind, only_run, run


@pytest.mark.e2e
def test_a_spike_is_sent_as_planned_counted_alike_everywhere_and_reported(
    prometheus: PrometheusBinary, tmp_path: Path
) -> None:
    done = run("run_suite.py", "--embedded", "--scenario", "spike", "--runs", str(tmp_path))
    assert done.returncode in {0, 3}, done.stderr + done.stdout  # 3: this machine was too busy for the generator
    assert left_behind(tmp_path) == []
    folder = only_run(tmp_path)
    (case,) = read_run(folder).scenarios[0].cases
    planned = [json.loads(line)["due"] for line in (folder / "plan.jsonl").read_text().splitlines()]
    jobs = sorted(read_jobs(folder), key=lambda job: job.index)
    assert case.started is not None
    assert len(planned) == 60
    assert [job.due - case.started for job in jobs] == pytest.approx(planned, abs=1e-5)
    assert all(job.sent >= job.due for job in jobs)
    assert {job.outcome for job in jobs} == {Outcome.COMPLETED}
    report = (folder / "reports" / "performance_report.md").read_text()
    assert "counts the same jobs as the client's log" in report
    assert "**Spike:** 30 instead of 6 jobs/s for 1 s." in report
    assert (folder / "reports" / "figures" / "spike_course.svg").is_file()
