"""What ran, in reports and comparisons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.conditions import ConditionsRecord, read_conditions, write_conditions
from reelbench.reporting.compare.side import Side, differs
from reelbench.reporting.document.report import Table
from reelbench.reporting.document.running import rows
from reelbench.reporting.sections import provenance
from reelbench.telemetry.running import Running
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun


def conditions(median: str, leak: str = "0", port: str = "1") -> ConditionsRecord:
    return ConditionsRecord(
        processes=(
            Running(name="loadgen", environment={"PYTHONHASHSEED": "0", "OTEL_TRACES_EXPORTER": "none"}),
            Running(
                name="service",
                settings={"SERVICE_LEAK_BYTES_PER_JOB": leak, "SERVICE_LLM_URL": f"http://127.0.0.1:{port}"},
                changed=("SERVICE_LEAK_BYTES_PER_JOB", "SERVICE_LLM_URL") if leak != "0" else ("SERVICE_LLM_URL",),
                versions={"uvicorn": "0.54.0"},
            ),
            Running(name="providers", settings={"PROVIDERS_LLM__MEDIAN": median}, changed=("PROVIDERS_LLM__MEDIAN",)),
        )
    )


def test_the_report_shows_the_settings_that_are_not_the_default(made: MadeRun) -> None:
    run = replace(evidence(made), conditions=conditions("0.2", leak="1000000"))
    (table,) = provenance.environment(run).blocks
    assert isinstance(table, Table)
    found = {row[0]: row[1] for row in table.rows}
    assert found["Settings of service"] == "SERVICE_LEAK_BYTES_PER_JOB=1000000 (all: `conditions.json`)"
    assert found["Settings of providers"].startswith("PROVIDERS_LLM\\_\\_MEDIAN=0.2 (all:")
    assert found["Environment of loadgen"] == "PYTHONHASHSEED=0"
    assert rows(None) == [("Settings of the processes", "not recorded")]


@pytest.mark.parametrize(("replicas", "shown"), [(1, None), (2, "2 behind its address")])
def test_the_report_shows_how_many_replicas_of_the_service_answered(
    made: MadeRun, replicas: int, shown: str | None
) -> None:
    known = evidence(made)
    run = msgspec.structs.replace(known.run, service_replicas=replicas)
    (table,) = provenance.environment(replace(known, run=run)).blocks
    assert isinstance(table, Table)
    assert {row[0]: row[1] for row in table.rows}.get("Replicas of the service") == shown


def test_a_comparison_names_every_difference_that_is_not_a_place(made: MadeRun) -> None:
    sides = [
        Side(name, (replace(evidence(made), conditions=conditions(median, leak, port)),))
        for name, median, leak, port in (("a", "0.2", "1000000", "1"), ("b", "0.12", "0", "2"))
    ]
    assert [(one.item, one.run, one.baseline) for one in differs(*sides)] == [
        ("service: SERVICE_LEAK_BYTES_PER_JOB", "1000000", "0"),
        ("providers: PROVIDERS_LLM__MEDIAN", "0.2", "0.12"),
    ]
    assert differs(sides[0], sides[0]) == ()


def test_a_comparison_with_a_run_of_an_older_version_says_that_settings_are_not_known(made: MadeRun) -> None:
    old, new = (
        Side(name, (replace(evidence(made), conditions=c),)) for name, c in (("a", None), ("b", conditions("1")))
    )
    assert [(one.item, one.run, one.baseline) for one in differs(old, new)] == [
        ("Settings of the processes", "not recorded", "recorded")
    ]


def test_why_there_is_no_commit_is_in_the_report(made: MadeRun) -> None:
    machine = msgspec.structs.replace(made.run.environment, commit=None, no_commit="git refuses to read the checkout")
    run = msgspec.structs.replace(made.run, environment=machine)
    (table,) = provenance.environment(evidence(made, run=run)).blocks
    assert isinstance(table, Table)
    assert {row[0]: row[1] for row in table.rows}["Commit"] == "git refuses to read the checkout"


def test_conditions_are_kept_and_a_later_field_is_ignored(tmp_path: Path) -> None:
    assert read_conditions(tmp_path) is None
    kept = conditions("0.2")
    write_conditions(tmp_path, kept)
    path = tmp_path / "conditions.json"
    path.write_text(path.read_text().replace('"others_limit"', '"later": 1, "others_limit"'))
    assert read_conditions(tmp_path) == kept
