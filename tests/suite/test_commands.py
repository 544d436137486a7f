"""The command line `reelbench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reelbench.suite.commands.command_line import COMMANDS, main
from tests.commands import ROOT
from tests.reporting.made_run import make


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command line."""
    code = main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ((), "reelbench run --scenario single_request"),
        (("rnu",), "'run'"),
        (("--verison",), "'--version'"),
        (("xyzzy",), "run, report, compare, trend, list, open, check"),
        (("run", "--scenari", "x"), "--scenario"),
        (("run", "--scenario", "nope"), "single_request"),
        (("run", "--seed", "one"), "--seed"),
        (("compare",), "reelbench compare --help"),
        (("compare", "a", "b"), "name a folder under runs/"),
        (("report",), "reelbench run"),
        (("report", "."), "name a folder under runs/"),
        (("list", "runs"), "reelbench run"),
        (("list", "things"), "'what': 'things' is not one of 'scenarios'"),
        (("check", "missing.yaml"), "missing.yaml"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_fix_and_exit_code_2(
    arguments: tuple[str, ...],
    cure: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert cure in err
    assert list(tmp_path.iterdir()) == []


def test_each_command_has_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, overview, _ = said(capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert f"  {name} " in overview
        code, out, err = said(capsys, name, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"Usage: reelbench {name} ")


def test_list_and_check_include_the_built_in_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "list")
    names, dimensions = zip(*(line.split()[:2] for line in out.splitlines()[1:]), strict=True)
    assert code == 0
    order = ("performance", "reliability", "resources")
    places = [(order.index(dimension), name) for name, dimension in zip(names, dimensions, strict=True)]
    assert places == sorted(places)
    assert {"single_request", "llm_outage", "memory_leak"} <= set(names)
    (overload,) = (line for line in out.splitlines() if line.startswith("overload "))
    assert "other servers" in overload
    code, out, _ = said(capsys, "check")
    shaped_like_mlperf = 2
    assert (code, out.split()[:2]) == (0, ["valid:", str(len(names) + shaped_like_mlperf)])


def test_check_reads_prompts_and_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.txt").write_text("A kite\nA boat\n")
    (tmp_path / "t.csv").write_text("\ufeffsize,at\n64x64,0\n,1\n,2\n")
    (tmp_path / "t.jsonl").write_text('{"timestamp": 3}\n')
    names = ("p.txt", "t.csv", "t.jsonl")
    code, out, _ = said(capsys, "check", *(str(tmp_path / name) for name in names))
    assert (code, out.splitlines()) == (
        0,
        ["valid: p.txt, 2 prompts", "valid: t.csv, 3 arrivals", "valid: t.jsonl, 1 arrival"],
    )
    (tmp_path / "t.csv").write_text("at\n2\n1\n")
    code, _, err = said(capsys, "check", str(tmp_path / "t.csv"), str(tmp_path / "nix.csv"), str(tmp_path / "x.yaml"))
    assert code == 2
    assert err.splitlines() == [
        "error: t.csv row 3: arrives 1 s before row 2; sort the rows by time",
        "error: nix.csv is not there; name a text, JSONL or CSV file",
        "error: x.yaml: cannot be read (No such file or directory); make it a readable file",
    ]


@pytest.mark.extended
def test_list_runs_includes_unreadable_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("good", "bad"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    make().write(tmp_path / "runs" / "good")
    (tmp_path / "runs" / "bad" / "run.json").write_text("{")
    code, out, _ = said(capsys, "list", "runs", "--runs", str(tmp_path / "runs"))
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        [str(tmp_path / "runs" / "bad"), "unreadable:"],
        [str(tmp_path / "runs" / "good"), "completed"],
    ]


def test_compare_equals_report_with_a_baseline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments in (("compare", "x", "y"), ("report", "x", "--compare", "y")):
        code, _, err = said(capsys, *arguments, "--fail-on", "better")
        assert (code, err) == (2, "error: --fail-on: 'better' is unknown; use worse\n")


def test_help_imports_no_heavy_package() -> None:
    code = (
        "from reelbench.__main__ import main; main(['--help']); print({'typer', 'numpy', 'msgspec'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", f"import sys; {code}"], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"set()"
