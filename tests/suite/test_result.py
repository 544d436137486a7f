"""The result of ``reelbench run``: one line, or one JSON object."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run_files import JOBS_FILE, to_line, write_atomically
from reelbench.suite.result import result
from tests.data_helper import job
from tests.suite.made_runs import made


def test_a_run_without_reports_has_no_verdict(tmp_path: Path) -> None:
    made(tmp_path, "r1")
    found = result(tmp_path, "r1", 130)
    assert (found.verdict, found.exit_code, found.runs[0].verdict) == ("INTERRUPTED", 130, "NO VERDICT")
    assert found.runs[0].paths == {"folder": str(tmp_path / "r1")}
    assert found.line == "INTERRUPTED  r1"


def test_the_result_has_verdict_counts_figures_and_paths(tmp_path: Path) -> None:
    folder = made(tmp_path, "r1", verdict="FAIL")
    jobs = [job(0, warmup=True), job(1), job(2), job(3, outcome=Outcome.FAILED, error="no")]
    (folder / JOBS_FILE).write_bytes(b"".join(map(to_line, jobs)))
    write_atomically(folder / "reports" / "report.html", b"<p>")
    found = json.loads(result(tmp_path, "r1", 1).encode())
    (run,) = found["runs"]
    assert (found["verdict"], found["exit_code"], found["errors"]) == ("FAIL", 1, [])
    assert run["jobs"] == {"completed": 2, "failed": 1}
    assert run["objectives"] == {"FAIL": 1}
    (figure,) = run["figures"]
    assert (figure["sli"], figure["value"], figure["objective"]) == (
        "response_time_p95", 2.5, {"value": 2.0, "direction": "at_most"},
    )  # fmt: skip
    assert run["paths"] == {
        "folder": str(folder),
        "page": str(folder / "reports" / "report.html"),
        "results": str(folder / "reports" / "results.json"),
        "reports": str(folder / "reports"),
    }
    line = result(tmp_path, "r1", 1).line
    assert line == f"FAIL  r1  {folder / 'reports' / 'report.html'}"


def test_several_runs_have_the_worst_verdict(tmp_path: Path) -> None:
    for number, verdict in enumerate(("PASS", "INVALID", "FAIL"), 1):
        made(tmp_path, f"r.r{number}", verdict=verdict)
    found = result(tmp_path, "r", 3)
    assert [run.run_id for run in found.runs] == ["r.r1", "r.r2", "r.r3"]
    assert found.verdict == "INVALID"
    assert found.line.startswith("INVALID  3 runs")


def test_damaged_results_are_an_error_of_the_result(tmp_path: Path) -> None:
    folder = made(tmp_path, "r1", verdict="PASS")
    (folder / "reports" / "results.json").write_bytes(b"{")
    found = result(tmp_path, "r1", 0, ("first",))
    assert found.runs == ()
    assert found.verdict == "NO VERDICT"
    assert found.errors[0] == "first"
    assert "results.json is damaged" in found.errors[1]


def test_without_a_run_the_object_has_the_errors_alone(tmp_path: Path) -> None:
    found = msgspec.json.decode(result(tmp_path, "r1", 2, ("--seed: is -1",)).encode())
    assert found == {"verdict": "NO VERDICT", "exit_code": 2, "runs": [], "errors": ["--seed: is -1"]}
