"""Each row of the matrix on a real embedded stack: `make test-faults`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.reporting.export import export
from reelbench.stack.prometheus import PrometheusBinary
from tests.acceptance import REPORTS
from tests.commands import left_behind
from tests.faults.matrix import ROWS, Ended, Row, run_with

pytestmark = pytest.mark.faults
TABLE = "fault_matrix.md"


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The lines of the matrix, written as Markdown when all rows have run."""
    lines = ["| process | fault | phase | exit code | seconds to the end | the run |", "|" + " --- |" * 6]
    yield lines
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_leaves_a_readable_run_and_a_true_verdict(
    row: Row, prometheus: PrometheusBinary, tmp_path: Path, table: list[str]
) -> None:
    ended = run_with(row, tmp_path)
    said = f"\n{ended.printed}\n{ended.messages}"
    found = described(ended)
    table.append(f"| {row.process} | {row.fault} | {row.phase} | {ended.code} | {ended.seconds:.1f} | {found} |")
    assert ExitCode(ended.code) in row.codes, said
    assert row.says in said
    assert "Traceback" not in said
    assert left_behind(tmp_path) == []
    for folder in ended.folders:  # a run without a folder has nothing to read
        record, jobs = read_run(folder), read_jobs(folder)
        assert record.state is not RunState.RUNNING, "the run says that it is still going on"
        assert len({job.job_id for job in jobs if job.job_id}) == len([job for job in jobs if job.job_id])
        passed = ended.code == ExitCode.PASS
        planned = sum(case.planned for scenario in record.scenarios for case in scenario.cases)
        assert not passed or len([job for job in jobs if not job.warmup]) == planned
        again = export(folder, None, formats=())  # the kept evidence gives the same answer
        assert passed == (again.exit_code == ExitCode.PASS), said


def described(ended: Ended) -> str:
    """The state of the run and its verdict, for the table."""
    if not ended.folders:
        return "no folder"
    verdicts = [line for line in ended.printed.splitlines() if line.startswith("performance: ")]
    return f"{read_run(ended.folders[0]).state}, {verdicts[-1] if verdicts else 'no report'}"
