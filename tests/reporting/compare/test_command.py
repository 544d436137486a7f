"""Tests of ``scripts/export_reports.py --compare`` as a command."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.run import read_run
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.document.text import literal
from tests.commands import invoke
from tests.reporting.compare.variants import alter, copy, slower


def export(*arguments: str) -> subprocess.CompletedProcess[str]:
    return invoke("export_reports.py", *arguments)


def compare(run: Path, baseline: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return export(str(run), "--kept", "--no-charts", "--compare", str(baseline), *options)


@pytest.mark.extended
def test_fail_on_worse_does_not_fail_for_one_run_a_side(measured_dir: Path, tmp_path: Path) -> None:
    slow = copy(measured_dir, tmp_path / "slow", slower(1.3))
    worse = compare(slow, measured_dir)
    assert worse.returncode == 3  # exit code of the run's own reports, whose counts differ from the telemetry
    assert worse.stderr.splitlines() == [
        "the numbers of telemetry are kept in measurements.json",
        f"all on one page: {slow / 'reports' / 'report.html'}",
        f"page about several runs: {slow / 'reports' / 'comparison.html'}",
    ]
    report = slow / "reports" / "comparison_report.md"
    assert worse.stdout.splitlines()[-1] == str(report)
    assert worse.stdout.splitlines()[-3].startswith("note: one run per side")
    assert worse.stdout.splitlines()[-2].startswith("comparison with measured: 1 differs in these two runs, ")
    assert compare(slow, measured_dir, "--fail-on", "worse").returncode == 3  # that of the run's own reports
    better = compare(measured_dir, slow, "--fail-on", "worse")
    assert better.returncode == 0
    assert "1 differs in these two runs" in better.stdout


@pytest.mark.extended
def test_a_damaged_folder_of_repetitions_is_one_sentence(measured_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x.repeat"
    (folder / "reports").mkdir(parents=True)
    for runs, cause in (([], "names no run"), (["a\0b"], "'a\\x00b'"), (["../measured"], "'../measured'")):
        (folder / "reports" / "repetitions.json").write_text(json.dumps({"schema_version": 1, "runs": runs}))
        for done in (compare(measured_dir, folder), export(str(folder))):
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
            assert cause in done.stderr
            assert "--repeat" in done.stderr
    link = tmp_path / "link"
    link.symlink_to(link)
    for done in (export(str(link)), compare(measured_dir, link)):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "Too many levels of symbolic links" in done.stderr


def test_refusals_are_one_sentence_with_exit_code_2(measured_dir: Path, tmp_path: Path) -> None:
    done = compare(measured_dir, measured_dir)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: made-0001 is on both sides; name two different runs, or add --force\n"
    done = compare(measured_dir, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{tmp_path} is neither a run nor a folder of repetitions" in done.stderr
    for wrong, cause in ((tmp_path, "is a folder"), (tmp_path / "no" / "c.html", "there is no folder")):
        done = compare(measured_dir, measured_dir, "--html", str(wrong))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert cause in done.stderr
    done = export(str(measured_dir), "--fail-on", "better", "--force")
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [
            "error: --fail-on needs --compare BASELINE",
            "error: --force needs --compare BASELINE",
            "error: --fail-on: 'better' is unknown; use worse",
        ],
    )


@pytest.mark.extended
def test_repetitions_are_reported_again_and_compared(measured_dir: Path, tmp_path: Path) -> None:
    for name, factor in (("a", 1.5), ("b", 1.0)):
        runs = [
            copy(measured_dir, tmp_path / f"{name}.r{i}", slower(factor + i / 100), scale=1 / factor)
            for i in range(4)
        ]  # fmt: skip
        write_repetitions(tmp_path / f"{name}.repeat", runs)
    folder = tmp_path / "a.repeat"
    page = tmp_path / "page.html"
    options = ("--no-charts", "--html", str(page), "--fail-on", "worse")
    done = export(str(folder), "--compare", str(tmp_path / "b.repeat"), *options)
    assert done.returncode == 1
    pages = [folder / "reports" / "repetitions.html", folder / "reports" / "comparison.html", page]
    assert done.stderr.splitlines() == [f"page about several runs: {path}" for path in pages]
    assert page.read_bytes() == pages[1].read_bytes()
    lines = done.stdout.splitlines()
    assert lines[:2] == ["repetitions: 4 runs of one plan", str(folder / "reports" / "repetitions_report.md")]
    assert lines[2].startswith("comparison with b.repeat: ")
    assert lines[3] == str(folder / "reports" / "comparison_report.md")


@pytest.mark.extended
def test_the_name_of_a_document_is_text_in_the_report(measured_dir: Path, tmp_path: Path) -> None:
    other = copy(measured_dir, tmp_path / "other")
    document = read_run(other).document
    assert document is not None
    named = msgspec.structs.replace(document, name="a|<b>`c`.pdf", sha256="0" * 64)
    alter(other, lambda run: msgspec.structs.replace(run, document=named))
    assert compare(measured_dir, other, "--force").returncode in {0, 3}
    report = (measured_dir / "reports" / "comparison_report.md").read_text()
    (line,) = [line for line in report.splitlines() if "**Forced:**" in line]
    assert literal(named.name) in line
    assert "<b>" not in line.replace(r"\<b", "")


@pytest.mark.extended
def test_the_change_stands_in_the_page_as_in_the_summary(measured_dir: Path, tmp_path: Path) -> None:
    slow = copy(measured_dir, tmp_path / "slow", slower(1.3))
    compare(slow, measured_dir)
    reports = slow / "reports"
    change = json.loads((reports / "results.json").read_text())["summary"]["change"]
    page = (reports / "report.html").read_text()
    head = page.partition('<article id="summary">')[2].partition("</article>")[0]
    assert "Against measured:" in (reports / "summary.md").read_text()
    assert change["sentence"][:40] in head
    assert page.count('<article id="summary">') == 1
    policy = html.unescape(page.partition("script-src ")[2].partition('"')[0]).partition(";")[0]
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    assert policy == f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
