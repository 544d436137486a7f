"""The files of a workload in records, reports and comparisons."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.run import BudgetRecord, DocumentRecord, InputRecord, WorkloadRecord, read_run
from reelbench.loadgen.record.run_files import RUN_FILE
from reelbench.reporting.analysis.traffic import _uploaded
from reelbench.reporting.compare.side import Side, refusals
from reelbench.reporting.document.workload import inputs, rows
from reelbench.reporting.export import export
from reelbench.reporting.formats import Format
from tests.report_text import report_text
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun

PROMPTS = InputRecord(name="my|prompts.jsonl", sha256="a" * 64, bytes=10, rows=3)
TRACE = InputRecord(name="trace.csv", sha256="b" * 64, bytes=20, rows=40)
CAT = DocumentRecord(name="cat.png", sha256="c" * 64, bytes=1_000)
LOAD = WorkloadRecord(builtin="text_to_video", prompts=PROMPTS, order="drawn", arrivals=TRACE, speed=2.0)


def given(made: MadeRun, load: WorkloadRecord | None, **changes: object) -> MadeRun:
    return dataclasses.replace(made, run=msgspec.structs.replace(made.run, workload=load, **changes))


def test_a_record_of_before_is_read_and_means_the_built_in_prompts(made: MadeRun, tmp_path: Path) -> None:
    folder = made.write(tmp_path / "run")
    raw = msgspec.json.decode((folder / RUN_FILE).read_bytes())
    del raw["workload"]
    (folder / RUN_FILE).write_bytes(msgspec.json.encode(raw))
    run = read_run(folder)
    assert run.workload is None
    assert inputs(run) == inputs(msgspec.structs.replace(run, workload=WorkloadRecord(builtin="document")))
    assert [name for name, _ in rows(run.document, run.workload)] == ["Document"]


@pytest.mark.extended
def test_reports_name_prompts_trace_and_the_missing_document(made: MadeRun, tmp_path: Path) -> None:
    folder = given(made, LOAD, document=None).write(tmp_path / "run")
    export(folder, None, charts=False, formats=tuple(Format))
    text = report_text(folder, "performance")
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "none: jobs send a prompt only" in lines["Document"]
    assert f"my\\|prompts.jsonl, 3 rows, sha256 `{'a' * 64}`, drawn by the seed" in lines["Prompts"]
    assert f"trace.csv, 40 rows, sha256 `{'b' * 64}`, at 2 times the speed of the file" in lines["Arrivals"]
    setup = (folder / "reports" / "latex" / "setup.tex").read_text()
    assert "jobs send a prompt and no file; prompts are those of my\\textbar{}prompts.jsonl (3 rows, sha256" in setup
    results = msgspec.json.decode((folder / "reports" / "results.json").read_bytes())
    assert results["provenance"]["document"] is None
    assert results["provenance"]["workload"]["prompts"]["sha256"] == "a" * 64


def test_many_references_have_one_checksum(made: MadeRun) -> None:
    few = dict(rows(None, msgspec.structs.replace(LOAD, references=[CAT])))
    assert few["References"] == f"cat.png, 1000 B, sha256 `{'c' * 64}`"
    assert few["Document"] == "none"
    many = dict(rows(None, msgspec.structs.replace(LOAD, references=[CAT] * 5)))
    assert many["References"].startswith("5 files, 4.883 KiB, sha256 of their checksums `")


@pytest.mark.parametrize(
    ("change", "comparable"),
    [
        ({}, True),
        ({"prompts": msgspec.structs.replace(PROMPTS, sha256="d" * 64)}, False),
        ({"prompts": None}, False),
        ({"order": "file"}, False),
        ({"arrivals": None}, False),
        ({"speed": 3.0}, False),
        ({"references": [CAT]}, False),
        ({"prompts": msgspec.structs.replace(PROMPTS, name="renamed.jsonl")}, True),
    ],
)
def test_runs_of_different_workloads_are_not_comparable(
    made: MadeRun,
    change: dict[str, object],
    comparable: bool,  # noqa: FBT001 - the expected value
) -> None:
    runs = [
        evidence(made, run=msgspec.structs.replace(made.run, run_id=name, workload=load))
        for name, load in (("a", LOAD), ("b", msgspec.structs.replace(LOAD, **change)))
    ]
    found = list(refusals(Side("a", (runs[0],)), Side("b", (runs[1],))))
    assert [line for line in found if line.startswith("the plans differ")] == ([] if comparable else found[:1])
    if not comparable:
        assert "my|prompts.jsonl drawn by the seed, trace.csv at speed 2" in found[0]
        assert "--budget" not in found[0]


def test_runs_whose_budget_planned_different_jobs_are_refused_with_the_cure(made: MadeRun) -> None:
    budget = BudgetRecord(seconds=60, job_seconds=2, expected=50, jobs=20, left_out=[])
    runs = [
        evidence(made, run=msgspec.structs.replace(made.run, run_id=name, plan_hash=name, budget=budget))
        for name in ("a", "b")
    ]
    (line,) = refusals(Side("a", (runs[0],)), Side("b", (runs[1],)))
    assert line.endswith("for a comparison, name the scenarios with --scenario and give no --budget")


def test_uploads_count_the_file_that_each_job_sent(made: MadeRun) -> None:
    run = msgspec.structs.replace(made.run, workload=msgspec.structs.replace(LOAD, references=[CAT]))
    jobs = [msgspec.structs.replace(made.jobs[0], reference=name) for name in (None, "cat.png", "cat.png")]
    assert _uploaded(run, jobs) == 123_456 + 2 * 1_000
    assert _uploaded(msgspec.structs.replace(run, document=None), jobs) == 2_000
    assert _uploaded(made.run, jobs[:1]) == 123_456
