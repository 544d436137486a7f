"""Telemetry of a real run is dropped on purpose: the reports must detect the loss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.export import export
from tests.acceptance import SuiteRun, needs
from tests.commands import invoke
from tests.report_text import report_text

SCENARIO = "single_request"


@needs(SCENARIO)
@pytest.mark.acceptance
def test_dropped_telemetry_makes_the_verdict_inconclusive(suite: SuiteRun, tmp_path: Path) -> None:
    for number, drop in enumerate((drop_spans, drop_jobs, drop_from_store)):
        heavy = shutil.ignore_patterns("assets", "prometheus")
        folder = Path(shutil.copytree(suite.folder, tmp_path / str(number), ignore=heavy))
        sentence = drop(folder)
        done = invoke("export_reports.py", str(folder), "--kept", "--no-charts")
        assert done.returncode == 3, done.stderr
        assert f"  {sentence}" in done.stdout.splitlines()
        assert any(line.startswith("performance: INCONCLUSIVE (") for line in done.stdout.splitlines())
        verdicts = export(folder, None, formats=()).verdicts
        assert [one.status for one in verdicts if one.scenario == SCENARIO] == [Status.INCONCLUSIVE] * 2
        assert f"- {sentence}." in report_text(folder, "performance")


def drop_spans(folder: Path) -> str:
    """Remove the batches with the last root spans of a scenario from the file, as if the exporter had been killed."""

    def roots(line: str) -> int:
        """Number of measured jobs of the scenario whose root span is in a batch."""
        spans = [
            {a["key"]: a["value"] for a in span.get("attributes", [])}
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
            if span["name"] == "loadgen.job"
        ]
        measured = [s for s in spans if s["loadgen.job.warmup"] == {"boolValue": False}]
        return sum(1 for s in measured if s["scenario"] == {"stringValue": SCENARIO})

    path = folder / "traces" / "loadgen.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    gone = max(number for number, line in enumerate(lines) if roots(line))
    path.write_text("".join(lines[:gone] + lines[gone + 1 :]))
    left = 20 - roots(lines[gone])
    assert left < 20
    return f"{SCENARIO}: traces, root spans has {left} jobs completed, the client's log 20"


def drop_jobs(folder: Path) -> str:
    """Reduce Prometheus' count by three jobs, as after missed scrapes."""
    path = folder / "measurements.json"
    kept = json.loads(path.read_text())
    (counted,) = [
        m
        for m in kept["measurements"]
        if (m["sli"], m["scenario"], m["member"]) == ("client_jobs", SCENARIO, "completed")
    ]
    counted["value"] -= 3
    path.write_text(json.dumps(kept))
    return f"{SCENARIO}: Prometheus, loadgen_jobs_total has 17 jobs completed, the client's log 20"


def drop_from_store(folder: Path) -> str:
    """Remove an accepted job from the service's list."""
    path = folder / "run.json"
    record = json.loads(path.read_text())
    (scenario,) = [s for s in record["scenarios"] if s["name"] == SCENARIO]
    scenario["store"]["found"] -= 1
    path.write_text(json.dumps(record))
    return f"{SCENARIO}: store has 20 accepted jobs not deleted (with warm-up), the client's log 21"
