"""Lost telemetry is detected: the verdict is INCONCLUSIVE, and the report shows the difference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.export import Exported, export
from tests.report_text import report_text

Edit = Callable[[Path], None]


def lose_spans(number: int, scenario: str) -> Edit:
    """Remove root spans of completed jobs from the load generator's file; the made run has one per line."""

    def edit(folder: Path) -> None:
        path = folder / "traces" / "loadgen.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        lost = [line for line in lines if all(word in line for word in (f'"{scenario}"', '"completed"', ":false"))]
        path.write_text("".join(line for line in lines if line not in lost[:number]))

    return edit


def lose_series(sli: str, scenario: str, outcome: str) -> Edit:
    """Remove the series of one outcome from Prometheus."""

    def change(measurement: dict[str, Any]) -> None:
        measurement.update(value=None, no_data="no series matched", n=None)

    return edit_measurement(sli, scenario, outcome, change)


def lose_jobs(number: int, sli: str, scenario: str, outcome: str) -> Edit:
    """Reduce Prometheus' count of jobs of one outcome."""

    def change(measurement: dict[str, Any]) -> None:
        measurement["value"] -= number

    return edit_measurement(sli, scenario, outcome, change)


def edit_measurement(sli: str, scenario: str, member: str, change: Callable[[dict[str, Any]], None]) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "measurements.json"
        kept = json.loads(path.read_text())
        (found,) = [
            m for m in kept["measurements"] if (m["sli"], m["scenario"], m["member"]) == (sli, scenario, member)
        ]
        change(found)
        path.write_text(json.dumps(kept))

    return edit


def lose_in_store(number: int, scenario: str) -> Edit:
    """Remove accepted jobs from the service's own list."""

    def edit(folder: Path) -> None:
        path = folder / "run.json"
        run = json.loads(path.read_text())
        (found,) = [s for s in run["scenarios"] if s["name"] == scenario]
        found["store"]["found"] -= number
        path.write_text(json.dumps(run))

    return edit


def assert_seen(exported: Exported, folder: Path, dimension: str, sentence: str, cells: tuple[str, ...]) -> None:
    """Check that the scenario has no PASS or FAIL, and that verdict and table name the difference."""
    scenario = sentence.split(":", maxsplit=1)[0]
    assert (exported.status, exported.exit_code) == (Status.INCONCLUSIVE, 3)
    judged = {v.status for v in exported.verdicts if v.scenario == scenario}
    assert judged <= {Status.INCONCLUSIVE, Status.NO_DATA}
    assert {v.reason for v in exported.verdicts if v.scenario == scenario and v.status is Status.INCONCLUSIVE} <= {
        "counts do not reconcile"
    }
    text = report_text(folder, dimension)
    assert "**Verdict: INCONCLUSIVE**" in text
    assert f"- {sentence}." in text.split("## Key metrics")[0]
    assert f"  {sentence}" in exported.summary
    section = text.split("\n## Reconciliation\n")[1].split("\n## ")[0]
    rows = [tuple(c.strip() for c in line.strip("|").split("|")) for line in section.splitlines() if "DIFFERS" in line]
    assert cells in [row[1:5] for row in rows]
    assert {row[0] for row in rows} == {scenario}


ROOTS, CLIENT, SERVICE = "traces, root spans", "Prometheus, loadgen_jobs_total", "Prometheus, video_jobs_total"


LOSSES: list[tuple[Edit, str, tuple[str, ...]]] = [
    (
        lose_spans(1, "api_latency"),
        f"api_latency: {ROOTS} has 39 jobs completed, the client's log 40",
        (ROOTS, "jobs completed", "40", "39"),
    ),
    (
        lose_spans(396, "throughput"),
        f"throughput: {ROOTS} has 0 jobs completed, the client's log 396",
        (ROOTS, "jobs completed", "396", "0"),
    ),
    (
        lose_series("client_jobs", "throughput", "failed"),
        f"throughput: {CLIENT} has 0 jobs failed, the client's log 4",
        (CLIENT, "jobs failed", "4", "0"),
    ),
    (
        lose_jobs(1, "client_jobs", "single_request", "completed"),
        f"single_request: {CLIENT} has 99 jobs completed, the client's log 100",
        (CLIENT, "jobs completed", "100", "99"),
    ),
    (
        lose_series("service_jobs", "throughput", "failed"),
        f"throughput: {SERVICE} has 0 jobs failed, the client's log 4",
        (SERVICE, "jobs failed", "4", "0"),
    ),
    (
        lose_jobs(2, "service_jobs", "component_speed", "completed"),
        f"component_speed: {SERVICE} has 28 jobs completed or partial, the client's log 30",
        (SERVICE, "jobs completed or partial", "30", "28"),
    ),
    (
        lose_in_store(1, "concurrent_load"),
        "concurrent_load: store has 849 accepted jobs not deleted (with warm-up), the client's log 850",
        ("store", "accepted jobs not deleted (with warm-up)", "850", "849"),
    ),
]


@pytest.mark.extended
def test_lost_telemetry_is_detected(measured: Path, tmp_path: Path) -> None:
    for number, (edit, sentence, cells) in enumerate(LOSSES):
        folder = Path(shutil.copytree(measured, tmp_path / str(number)))
        edit(folder)
        assert_seen(export(folder, None, charts=False), folder, "performance", sentence, cells)


def test_only_the_scenario_with_a_loss_is_inconclusive(measured_dir: Path) -> None:
    before = export(measured_dir, None, charts=False)
    lose_in_store(1, "concurrent_load")(measured_dir)
    after = export(measured_dir, None, charts=False)
    others = [[v for v in e.verdicts if v.scenario != "concurrent_load"] for e in (before, after)]
    assert others[0] == others[1]
    assert {v.status for v in others[1]} == {Status.PASS}


def test_duplicates_are_detected_like_losses(measured_dir: Path) -> None:
    path = measured_dir / "traces" / "loadgen.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    doubled = next(line for line in lines if '"api_latency"' in line and ":false" in line)
    path.write_text("".join([*lines, doubled]))
    exported = export(measured_dir, None, charts=False)
    assert exported.status is Status.INCONCLUSIVE
    assert f"  api_latency: {ROOTS} has 41 jobs completed, the client's log 40" in exported.summary


def test_a_loss_in_reliability_scenarios_is_detected(outages_dir: Path) -> None:
    whole = export(outages_dir, None, charts=False)
    assert not [line for line in whole.summary if "normal_operation:" in line]
    lose_spans(3, "normal_operation")(outages_dir)
    exported = export(outages_dir, None, charts=False)
    sentence = f"normal_operation: {ROOTS} has 36 jobs completed, the client's log 39"
    assert f"  {sentence}" in exported.summary
    assert f"- {sentence}." in report_text(outages_dir, "reliability")


@pytest.mark.extended
def test_a_loss_in_resources_scenarios_is_detected(resources_dir: Path) -> None:
    whole = export(resources_dir, None, charts=False)
    assert not [line for line in whole.summary if "single_job:" in line]
    lose_jobs(1, "client_jobs", "single_job", "completed")(resources_dir)
    exported = export(resources_dir, None, charts=False)
    (line,) = [line for line in exported.summary if f"single_job: {CLIENT}" in line]
    assert f"- {line.strip()}." in report_text(resources_dir, "resources")
