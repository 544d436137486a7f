"""Each row of the matrix on a real embedded stack: `make test-faults`."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.reporting.export import export
from reelbench.stack.prometheus import PrometheusBinary
from tests.acceptance import REPORTS, ROOT
from tests.commands import left_behind
from tests.faults.matrix import FREEZE_SECONDS, ROWS, SCENARIO, SHOWN, Ended, Row, run_with
from tests.faults.page import with_times, written_into

pytestmark = pytest.mark.faults
PAGE = ROOT / "docs" / "reliability.md"
TABLE = "fault_matrix.md"
"""The same with the times, which change with every run."""


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, Ended]]:
    """What the rows left; the tables are written when all rows have run, and the page only when none is missing."""
    made: dict[str, Ended] = {}
    yield made
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / TABLE).write_text(with_times(made), encoding="utf-8")
    PAGE.write_text(written_into(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_leaves_a_readable_run_and_a_true_verdict(
    row: Row, prometheus: PrometheusBinary, tmp_path: Path, found: dict[str, Ended]
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    ended = run_with(row, runs)
    said = f"\n{ended.printed}\n{ended.messages}"
    # Ctrl-C can end the process before Python has begun; a shell says 130 then too.
    assert ExitCode(128 + signal.SIGINT if ended.code == -signal.SIGINT else ended.code) in row.codes, said
    assert row.says in said
    assert "Traceback" not in said
    assert left_behind(tmp_path) == []
    for folder in ended.folders:  # a run without a folder has nothing to read
        record, jobs = read_run(folder), read_jobs(folder)
        assert record.state is not RunState.RUNNING, "the run says that it is still going on"
        assert len({job.job_id for job in jobs if job.job_id}) == len([job for job in jobs if job.job_id])
        passed = ended.code == ExitCode.PASS
        planned = sum(case.planned for scenario in record.scenarios for case in scenario.cases)
        whole = passed or record.state is RunState.COMPLETED
        assert not whole or len([job for job in jobs if not job.warmup]) == planned
        again = export(folder, None, formats=())  # the kept evidence gives the same answer
        assert passed == (again.exit_code == ExitCode.PASS), said
        if row.promise == SHOWN and passed:
            assert _p95(folder) >= FREEZE_SECONDS
    found[row.name] = ended


def _p95(folder: Path) -> float:
    """P95 of the response times that the reports judge, in seconds."""
    numbers = json.loads((folder / "reports" / "results.json").read_text(encoding="utf-8"))["numbers"]
    (found,) = [
        one["value"]
        for one in numbers
        if (one["sli"], one["scenario"], one["source"]) == ("response_time_p95", SCENARIO, "records")
    ]
    return float(found)
