"""Reports of the made runs from their records alone: what needs Prometheus is NO DATA, the rest has its value."""

from __future__ import annotations

import csv
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import read_run, write_run
from reelbench.loadgen.record.run_files import to_line
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.compare.comparison import export as compared
from reelbench.reporting.compare.records import Verdict
from reelbench.reporting.export import Exported, export
from reelbench.reporting.formats import Format
from tests.report_text import report_text
from tests.reporting.made_run import MadeRun

Value = dict[tuple[str, str, str], float | None]


def written(made: MadeRun, folder: Path) -> tuple[Path, Exported]:
    run = made.write(folder / "run")
    return run, export(run, None, charts=False, formats=tuple(Format))


def values(run: Path) -> Value:
    """Values of the indicators by id, scenario and case; those of members are left out."""
    results: dict[str, Any] = msgspec.json.decode((run / "reports" / "results.json").read_bytes())
    return {(n["sli"], n["scenario"], n["case"]): n["value"] for n in results["numbers"] if not n["member"]}


def test_reliability_is_known_from_the_records(outages: MadeRun, tmp_path: Path) -> None:
    run, done = written(outages, tmp_path)
    found = values(run)
    assert found["breaker_opened", "llm_outage", ""] == 1.0
    assert found["calls_while_open", "llm_outage", ""] == 0
    assert found["mttr", "llm_outage", ""] == 5.75
    assert found["integrity_share", "data_integrity", ""] == 1.0
    assert {
        key[1]: value for key, value in found.items() if key[0] == "jobs_lost" and value is not None
    } == dict.fromkeys(
        ("normal_operation", "tts_failures", "llm_outage", "store_outage", "partial_failures", "data_integrity"), 0
    )
    text = report_text(run, "reliability")
    assert "- The breaker opened in **3 of 3** outages" in text
    assert done.exit_code == 3


def test_resources_without_samples_are_no_data(resources: MadeRun, tmp_path: Path) -> None:
    run, done = written(resources, tmp_path)
    assert {v.status for v in done.verdicts if v.sli.query} == {Status.NO_DATA}
    assert values(run)["throughput", "network_bandwidth", "n05"] == pytest.approx(5.0)


@pytest.mark.extended
def test_all_formats_tell_the_same_verdicts(made: MadeRun, tmp_path: Path) -> None:
    run, done = written(made, tmp_path)
    judged = [v for v in done.verdicts if v.sli.objective is not None]
    suites = ET.fromstring((run / "reports" / "junit.xml").read_bytes())  # noqa: S314 - written by this test
    cases = [case for case in suites.findall(".//testcase") if case.get("classname") != "reelbench.performance.trust"]
    assert len(cases) == len(judged)
    with (run / "reports" / "csv" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["verdict"] for row in rows if row["verdict"]} == {v.status.value for v in judged}
    setup = (run / "reports" / "latex" / "setup.tex").read_text()
    assert f"{made.run.seed}" in setup


def test_an_interrupted_run_is_reported_as_such(outages: MadeRun, tmp_path: Path) -> None:
    folder = outages.write(tmp_path / "run")
    run = read_run(folder)
    write_run(folder, msgspec.structs.replace(run, state=type(run.state).INTERRUPTED))
    done = export(folder, None, charts=False)
    assert done.exit_code == 3
    assert "interrupted" in report_text(folder, "reliability")


@pytest.mark.extended
def test_a_run_compared_with_itself_shows_no_difference(made: MadeRun, tmp_path: Path) -> None:
    run, _ = written(made, tmp_path)
    other = Path(shutil.copytree(run, tmp_path / "other"))
    found = compared(run, other, force=True)
    findings = found.record.findings
    assert not found.record.worse
    assert {finding.relative for finding in findings} <= {0.0, None}
    assert "no difference shown" in found.path.read_text()


@pytest.mark.extended
def test_slower_jobs_are_found_to_differ(made: MadeRun, tmp_path: Path) -> None:
    baseline, _ = written(made, tmp_path)
    slow = made.write(tmp_path / "slow")
    jobs = [msgspec.structs.replace(job, done=job.done + 1.0) for job in read_jobs(slow)]
    (slow / "jobs.jsonl").write_bytes(b"".join(map(to_line, jobs)))
    export(slow, None, charts=False)
    found = compared(slow, baseline, force=True)
    worse = [one for one in found.record.findings if one.verdict is Verdict.DIFFERS and one.sli == "response_time_p50"]
    assert all(one.gone_worse for one in worse)
    assert [one.run - one.baseline for one in worse] == pytest.approx([1.0] * len(worse), abs=0.05)  # the steady part
    assert worse
