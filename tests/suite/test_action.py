"""The scripts of the GitHub action, run with a reelbench and a gh that write down how they were called."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / ".github" / "action"
RECORDS = """#!/bin/bash
printf '%s\\n' "$(basename "$0")" "$@" >>"$CALLS"; printf 'end\\n' >>"$CALLS"
"""
REELBENCH = (
    RECORDS
    + """
if [[ -n "${GITHUB_STEP_SUMMARY:-}" ]]; then echo "the page is for the last step" >&2; exit 9; fi
if [[ "$1" == run ]]; then
  for name in 20260101-000000-aaaa 20260102-000000-bbbb; do mkdir -p "$3/$name"; echo '{}' >"$3/$name/run.json"; done
fi
exit "${CODE:-0}"
"""
)
GH = (
    RECORDS
    + """
if [[ "$1 $2" == "run list" ]]; then printf '11\\n12\\n'; exit 0; fi
if [[ "$1 $2" == "run download" ]]; then
  if [[ "$3" == 11 ]]; then exit 1; fi
  mkdir -p "$7/reports"; echo '{}' >"$7/run.json"; exit 0
fi
if [[ "$*" == *--paginate* ]]; then printf '%s' "${FOUND:-}"; fi
if [[ "${DENIED:-}" == yes && "$*" == *--method* ]]; then exit 1; fi
exit 0
"""
)


class Shell:
    """Runs one script of the action with fake programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls, self.output = folder / "calls", folder / "output"
        self.calls.touch()
        self.output.touch()
        programs = folder / "bin"
        programs.mkdir()
        for name, text in (("reelbench", REELBENCH), ("gh", GH)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(folder / "page"),
            "GITHUB_REPOSITORY": "team/server",
            "GITHUB_WORKFLOW": "Load",
            "RUNS": str(folder / "runs"),
            "PROFILE": "quick",
        }

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [SCRIPTS / script], env=self.environment | variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    def called(self) -> Iterator[list[str]]:
        words: list[str] = []
        for line in self.calls.read_text().splitlines():
            if line == "end":
                yield words
                words = []
            else:
                words.append(line)

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_action_hands_inputs_over_by_environment_alone() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    steps = action["runs"]["steps"]
    assert action["runs"]["using"] == "composite"
    assert all("${{" not in step.get("run", "") for step in steps)  # an input would be run as a command
    assert all(step["shell"] == "bash" for step in steps if "run" in step)
    used = json.dumps(steps)
    assert all(f"inputs.{name}" in used for name in action["inputs"])
    assert [path.name for path in sorted(SCRIPTS.iterdir())] == ["comment.sh", "compare.sh", "run.sh"]
    assert all(os.access(path, os.X_OK) for path in SCRIPTS.iterdir())


def test_a_run_has_scenarios_target_and_quoted_arguments(shell: Shell) -> None:
    shell.run(
        "run.sh",
        SCENARIOS="single_request, throughput",
        TARGET="http://127.0.0.1:8000",
        ARGUMENTS="--seed 7 --label 'two words; $(touch x)' --no-charts",
        CODE="1",
    )
    (words,) = shell.called()
    assert words == [
        "reelbench", "run", "--runs", str(shell.folder / "runs"), "--profile", "quick", "--scenario", "single_request",
        "--scenario", "throughput", "--target", "http://127.0.0.1:8000", "--seed", "7", "--label",
        "two words; $(touch x)", "--no-charts",
    ]  # fmt: skip
    newest = shell.folder / "runs" / "20260102-000000-bbbb"
    assert shell.outputs() == {"run-dir": str(newest), "exit-code": "1"}  # the step itself succeeds


def test_a_run_made_before_is_taken_as_it_is(shell: Shell) -> None:
    made = shell.folder / "made"
    made.mkdir()
    (made / "run.json").write_text("{}")
    shell.run("run.sh", RUN_DIR=str(made))
    assert list(shell.called()) == []
    assert shell.outputs() == {"run-dir": str(made), "exit-code": "0"}


def test_no_run_is_an_error_with_its_exit_code(shell: Shell) -> None:
    done = shell.run("run.sh", RUN_DIR=str(shell.folder / "absent"))
    assert done.stdout.startswith("::error::There is no run in ")
    assert shell.outputs()["exit-code"] == "4"


def test_the_baseline_is_the_newest_artefact_of_the_base_branch(shell: Shell) -> None:
    run = shell.folder / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    shell.run("compare.sh", RUN_DIR=str(run), ARTIFACT="reelbench", BASE_BRANCH="main", FAIL_ON="worse", CODE="1")
    listed, missing, downloaded, compared = shell.called()
    assert listed[:7] == ["gh", "run", "list", "--workflow", "Load", "--branch", "main"]
    assert (missing[3], downloaded[3], downloaded[5]) == ("11", "12", "reelbench")
    baseline = downloaded[7]
    assert compared == ["reelbench", "report", str(run), "--kept", "--compare", baseline, "--fail-on", "worse"]
    assert shell.outputs() == {"exit-code": "1"}


def test_a_comparison_that_cannot_be_made_warns_and_keeps_the_verdict(shell: Shell) -> None:
    run = shell.folder / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    done = shell.run("compare.sh", RUN_DIR=str(run), ARTIFACT="reelbench", BASELINE=str(run), CODE="2")
    assert "::warning::" in done.stdout
    done = shell.run("compare.sh", RUN_DIR=str(run), ARTIFACT="reelbench", BASELINE=str(shell.folder / "absent"))
    assert done.stdout.startswith("::notice::There is no baseline yet")
    assert shell.outputs() == {}


@pytest.mark.parametrize(("found", "method", "path"), [
    ("", "POST", "repos/team/server/issues/7/comments"),
    ("4711", "PATCH", "repos/team/server/issues/comments/4711"),
])  # fmt: skip
def test_a_comment_is_written_once_and_then_replaced(shell: Shell, found: str, method: str, path: str) -> None:
    reports = shell.folder / "run" / "reports"
    reports.mkdir(parents=True)
    (reports / "summary.md").write_text("# Summary\n\n| [performance](performance_report.md) | **FAIL** |\n")
    shell.run("comment.sh", RUN_DIR=str(reports.parent), COMMENT="true", NUMBER="7", NAME="reelbench", FOUND=found)
    looked, wrote = shell.called()
    assert looked[2] == "repos/team/server/issues/7/comments"
    assert 'startswith("<!-- reelbench: reelbench -->")' in looked[-1]
    assert wrote[:5] == ["gh", "api", "--method", method, path]
    body = Path(wrote[-1].removeprefix("body=@")).read_text()
    assert body == "<!-- reelbench: reelbench -->\n# Summary\n\n| performance | **FAIL** |\n"
    assert (shell.folder / "page").read_text() == "# Summary\n\n| performance | **FAIL** |\n"


def test_without_the_right_to_comment_there_is_a_warning(shell: Shell) -> None:
    reports = shell.folder / "run" / "reports"
    reports.mkdir(parents=True)
    (reports / "summary.md").write_text("# Summary\n")
    done = shell.run(
        "comment.sh", RUN_DIR=str(reports.parent), COMMENT="true", NUMBER="7", NAME="reelbench", DENIED="yes"
    )
    assert done.stdout == (
        "::warning::The comment was not written: the job needs the permission pull-requests: write.\n"
    )


def test_outside_of_a_pull_request_only_the_page_is_written(shell: Shell) -> None:
    reports = shell.folder / "run" / "reports"
    reports.mkdir(parents=True)
    (reports / "summary.md").write_text("# Summary\n")
    shell.run("comment.sh", RUN_DIR=str(reports.parent), COMMENT="true", NUMBER="", NAME="reelbench")
    assert list(shell.called()) == []
    assert (shell.folder / "page").read_text() == "# Summary\n"
