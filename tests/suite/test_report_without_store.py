"""Reports of a run whose Prometheus is gone, not answering or not installed: from what was kept, without a download."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.evidence import measurements
from reelbench.reporting.export import export
from reelbench.stack import binaries
from reelbench.stack.errors import StackError
from reelbench.suite.commands import report
from tests.reporting.made_foreign import make

KEPT = "the numbers of telemetry are kept in measurements.json"
GONE = "the run's Prometheus data are gone: the kept measurements.json is used"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A made run with measurements that a Prometheus answered, whose store is no longer there."""
    run = make().write(tmp_path / "run")
    export(run, None, charts=False, formats=())
    found = measurements.read(run)
    assert found is not None
    measurements.write(run, msgspec.structs.replace(found, prometheus=True))
    return run


def test_a_store_that_is_gone_needs_no_option(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (kept / "measurements.json").read_bytes()
    with pytest.raises(typer.Exit) as ended:
        report.main(run=kept, charts=False, formats="md,json")
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [GONE, KEPT]
    assert ended.value.exit_code in {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE}
    assert printed.out.splitlines()[-1] == str(kept / "reports" / "summary.md")
    assert (kept / "measurements.json").read_bytes() == before
    with pytest.raises(typer.Exit) as asked:
        report.main(run=kept, kept=True, charts=False, formats="md,json")
    assert asked.value.exit_code == ended.value.exit_code
    assert capsys.readouterr().out == printed.out


def test_without_a_prometheus_at_hand_nothing_is_downloaded(
    kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def absent(*, report: object, download: bool) -> None:
        asked.append(download)
        raise StackError("There is no Prometheus.")

    monkeypatch.setattr(binaries, "find_prometheus", absent)
    stack = msgspec.json.decode((kept / "stack.json").read_bytes(), type=StackRecord)
    assert stack.prometheus is not None
    assert stack.prometheus.data_dir is not None
    (kept / stack.prometheus.data_dir).mkdir()
    with pytest.raises(typer.Exit):
        report.main(run=kept, charts=False, formats="md")
    assert capsys.readouterr().err.splitlines() == [
        "no Prometheus is installed: the kept measurements.json is used",
        KEPT,
    ]
    (kept / "measurements.json").unlink()
    with pytest.raises(typer.Exit) as failed:
        report.main(run=kept, charts=False, formats="md")
    assert failed.value.exit_code == ExitCode.ABSENT
    with pytest.raises(typer.Exit):
        report.main(run=kept, charts=False, formats="md", compare=kept)
    assert asked == [False, True, False]  # a comparison never downloads


def test_only_programs_of_this_machine_count_without_a_download(tmp_path: Path) -> None:
    said: list[str] = []
    environment = {"PATH": str(tmp_path), "REELBENCH_CACHE": str(tmp_path / "cache")}
    with pytest.raises(StackError, match="There is no Prometheus"):
        binaries.find_prometheus(said.append, environment=environment, download=False)
    assert said == []


@pytest.mark.extended
def test_a_comparison_puts_the_change_into_summary_and_results(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    baseline = make()
    baseline.run = msgspec.structs.replace(baseline.run, run_id="made-0010")
    other = baseline.write(tmp_path / "other")
    export(other, None, charts=False, formats=())
    with pytest.raises(typer.Exit):
        report.main(run=kept, kept=True, charts=False, formats="md,json", compare=other)
    assert "comparison with " in capsys.readouterr().out
    text = (kept / "reports" / "summary.md").read_text()
    assert "**Against " in text
    assert "One run a side cannot say what is better or worse." in text
    change = msgspec.json.decode((kept / "reports" / "results.json").read_bytes())["summary"]["change"]
    assert (change["better"], change["worse"], change["differs"]) == (0, 0, 0)
    assert "**Against " in page.read_text()
