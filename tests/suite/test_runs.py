"""``reelbench list runs``, ``--prune``, ``open`` and the page about all runs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.going_on import goes_on, hold, holding, is_held
from reelbench.loadgen.record.journal import Journal
from reelbench.loadgen.record.run import RunState
from reelbench.suite.commands import open as open_command
from reelbench.suite.commands.command_line import main
from reelbench.suite.index import write_index
from reelbench.suite.pruning import Limits, PruneError, chosen, limits, remove
from reelbench.suite.run_folders import find_runs
from tests.reporting.trend.test_trend import history
from tests.suite.made_runs import STARTED, made

LATER = STARTED + 40 * 86_400


def test_a_lock_says_that_a_run_goes_on_and_ends_with_its_process(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with holding(tmp_path):
        assert is_held(tmp_path)
        with holding(tmp_path):
            assert is_held(tmp_path)
    assert not is_held(tmp_path)
    code = f"import sys; from reelbench.loadgen.record.going_on import hold; from pathlib import Path; hold(Path({str(tmp_path)!r})); print(1, flush=True); sys.stdin.read()"  # noqa: E501 - one program
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"1\n"
        assert is_held(tmp_path)
        child.kill()
        child.wait()
    assert not is_held(tmp_path)
    assert hold(tmp_path / "absent") is None


def test_a_journal_holds_its_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "run", b""):
        assert is_held(tmp_path / "run")
    assert not is_held(tmp_path / "run")


def test_a_run_without_an_end_goes_on_while_its_files_change(tmp_path: Path) -> None:
    changed = tmp_path.stat().st_mtime
    assert goes_on(tmp_path, None, changed + 60)
    assert not goes_on(tmp_path, None, changed + 3_600)
    assert not goes_on(tmp_path, 5.0, changed + 60)


def test_limits_are_read() -> None:
    assert limits("30d", "1.5GB") == Limits(30 * 86_400, 1.5e9)
    assert limits("12h", None) == Limits(43_200, None)
    for older, larger in ((None, None), ("30", None), (None, "5 apples"), ("-1d", None)):
        with pytest.raises(PruneError):
            limits(older, larger)


def test_only_runs_beyond_every_limit_go_and_none_that_goes_on(tmp_path: Path) -> None:
    old = made(tmp_path, "old")
    (old / "big").write_bytes(b"x" * 5_000)
    small = made(tmp_path, "small")
    held = made(tmp_path, "held")
    (held / "big").write_bytes(b"x" * 5_000)
    (made(tmp_path, "new", started=LATER - 60.0) / "big").write_bytes(b"x" * 5_000)
    for name, head in (("unreadable", "{"), ("folder", None)):
        (tmp_path / name).mkdir()
        if head:
            (tmp_path / name / "run.json").write_text(head)
    (tmp_path / "link").symlink_to(old)
    with holding(held):
        going, kept = chosen(find_runs(tmp_path, LATER), Limits(30 * 86_400, 4_000), LATER)
    assert [one.folder.name for one in going] == ["old"]
    assert [one.folder.name for one in kept] == ["held"]
    by_age, _ = chosen(find_runs(tmp_path, LATER), Limits(30 * 86_400, None), LATER)
    assert [one.folder.name for one in by_age] == ["held", "old", "small"]
    with holding(old):
        assert remove(going[0], LATER) is False
    assert remove(going[0], LATER) is True
    assert not old.exists()
    assert small.exists()


def test_prune_asks_and_without_a_terminal_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path, "old")
    command = ["list", "--runs", str(tmp_path), "--prune", "--older-than", "1d"]
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123 - closed with the test
    assert main(command) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert str(folder) in shown.out
    assert shown.err == "error: --prune asks first, and there is no terminal; add --yes\n"
    assert folder.exists()
    assert main([*command, "--yes"]) == ExitCode.PASS
    assert capsys.readouterr().out.splitlines()[-1] == f"removed: {folder}"
    assert list(tmp_path.iterdir()) == []
    assert main([*command, "--yes"]) == ExitCode.PASS
    assert capsys.readouterr().out == "no run is beyond the limits\n"
    assert main(["list", "--yes"]) == ExitCode.USAGE
    sys.stdin.close()


def test_the_list_has_verdict_state_commit_and_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "a", verdict="FAIL")
    made(tmp_path, "b", state=RunState.RUNNING, ended=None)
    with holding(tmp_path / "b"):
        assert main(["list", "runs", "--runs", str(tmp_path)]) == ExitCode.PASS
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["run", "state", "verdict", "started"]
    assert first.split()[1:3] == ["completed", "FAIL"]
    assert first.split()[6:9] == ["quick", "1", "1"]
    assert "cccccccccccc" in first
    assert second.split()[1:4] == ["goes", "on", "-"]
    (found,) = (one for one in find_runs(tmp_path, time.time() + 3_600) if one.folder.name == "b")
    assert found.state == "cut off"


def test_open_prints_the_address_and_needs_no_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path, "a", verdict="PASS")
    opened: list[str] = []

    def no_browser(address: str) -> bool:
        opened.append(address)
        return False

    monkeypatch.setattr(open_command, "shown", no_browser)
    monkeypatch.setattr(open_command, "can_show", lambda *_: True)
    assert main(["open", "a", "--runs", str(tmp_path)]) == ExitCode.USAGE
    assert f"a has no page; write it with: reelbench report {folder}" in capsys.readouterr().err
    page = folder / "reports" / "report.html"
    page.write_text("<p>")
    assert main(["open", "a", "--runs", str(tmp_path)]) == ExitCode.PASS
    shown = capsys.readouterr()
    assert shown.out == f"{page.as_uri()}\n"
    assert shown.err == "no browser could be started; open the address above\n"
    assert opened == [page.as_uri()]
    assert main(["open", str(folder), "--print"]) == ExitCode.PASS
    assert main(["open", "b", "--runs", str(tmp_path)]) == ExitCode.USAGE
    assert opened == [page.as_uri()]


def test_open_shows_the_page_of_a_report_about_several_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix, page in ((".repeat", "repetitions.html"), (".ablation", "ablation.html"), (".ab", "ab.html")):
        path = tmp_path / f"x{suffix}" / "reports" / page
        path.parent.mkdir(parents=True)
        assert main(["open", f"x{suffix}", "--runs", str(tmp_path), "--print"]) == ExitCode.USAGE
        path.write_text("<p>")
        capsys.readouterr()
        assert main(["open", f"x{suffix}", "--runs", str(tmp_path), "--print"]) == ExitCode.PASS
        assert capsys.readouterr().out == f"{path.as_uri()}\n"


def test_a_browser_in_the_terminal_is_not_started() -> None:
    assert not open_command.can_show({"TERM": "xterm"}, "linux")
    assert open_command.can_show({"DISPLAY": ":0"}, "linux")
    assert open_command.can_show({}, "darwin")


def test_the_page_about_all_runs_has_figures_changes_and_the_runs_outside(tmp_path: Path) -> None:
    slower = history(tmp_path, 8, lambda sli, case, number: 1.5 if sli == "response_time_p95" and number > 4 else 1.0)
    for number in range(1, 9):
        (slower / f"run-{number:02d}" / "run.json").unlink()
        made_head = made(tmp_path, f"run-{number:02d}")
        (made_head / "reports" / "report.html").write_text("<p>")
    hostile = made(tmp_path, "hostile", state=RunState.INTERRUPTED, target="http://h/<script>alert(1)</script>")
    page = write_index(tmp_path, LATER).read_text()
    assert page.count('<a href="run-0') == 8
    assert page.index("run-08") < page.index("run-01")  # the newest first
    assert "worse: response time p95" in page
    assert '<line class="fail"' in page
    assert "worse from run run-05" in page
    assert "<h1>9 runs, " in page
    assert hostile.name in page
    assert "it has no results.json" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_without_a_run_there_is_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", "--runs", str(tmp_path), "--print"]) == ExitCode.USAGE
    assert f"there is no run in {tmp_path}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
