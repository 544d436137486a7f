from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy import stats

from reelbench.loadgen.record.run import RunRecord, RunState, read_run, write_run
from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.export import Exported, export
from tests.report_text import report_text
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun

REPOSITORY = Path(__file__).parents[2]


def report(folder: Path) -> str:
    return report_text(folder, "performance")


def table(text: str, heading: str) -> dict[str, list[str]]:
    """First table below a heading: first cell to the other cells."""
    lines = text.split(f"\n## {heading}\n", 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        rows[cells[0]] = cells[1:]
    return rows


def change(folder: Path, edit: Callable[[RunRecord], RunRecord]) -> None:
    write_run(folder, edit(read_run(folder)))


@pytest.mark.extended
def test_a_good_run_passes(run_dir: Path, prometheus_url: str) -> None:
    exported = export(run_dir, prometheus_url, charts=False)
    assert (exported.status, exported.exit_code) == (Status.PASS, 0)
    assert {v.status for v in exported.verdicts} == {Status.PASS}
    places = {(v.sli.id, v.scenario, v.case, v.member) for v in exported.verdicts}
    assert ("response_time_p95", "single_request", "n01", "") in places
    assert ("api_latency_p95", "api_latency", "", "delete") in places
    assert {(s, c) for sli, s, c, _ in places if sli == "throughput"} == {
        ("concurrent_load", "n50"),
        ("throughput", "n50"),
    }
    assert len(places) == 18
    assert exported.summary[-3:] == (
        "performance: PASS (18 objectives; holds, not proven: 9; holds, proven: 9)",
        "PASS: 18 of 18 objectives hold, 9 of them proven.",
        str(exported.paths[1]),
    )
    names = ["measurements.json", "summary.md", "performance_report.md", "appendix.md"]
    assert [path.name for path in exported.paths] == names


def test_the_tables_hold_the_values_of_the_records(measured_dir: Path, made: MadeRun) -> None:
    export(measured_dir, None, charts=False)
    text = report(measured_dir)
    assert table(text, "Response time")["single_request / n01"] == [
        "100", "0", "0.331", "0.621", "0.592 to 0.650", "1.159", "0.146", "0.606", "0.903", "1.021*", "-",
    ]  # fmt: skip
    assert table(text, "Concurrent load")["50"][:5] == ["400", "99.0 (97.5 to 99.7)", "28.11", "1.779", "2.026"]
    assert table(text, "Throughput")["concurrent_load / n20"] == [
        "20", "156", "156 of 200", "28.60", "85.8", "27.10", "27.10", "81.3", "81.3",
    ]  # fmt: skip
    assert table(text, "Components of a job")["Visuals"][:2] == ["150", "0.198"]
    assert table(text, "Components of a job")["Visuals"][-1] == "54.3"
    assert "Response time of a single request: **0.621 ± 0.146 s** (average" in text
    assert "n = 100; 95 % CI of the average in s: 0.592 to 0.650)" in text
    assert "Maximum throughput: **28.60 jobs/s** in concurrent_load / n20" in text
    limits = re.search(
        r"in concurrent_load / n20 \(20 in flight, n = 156; 95 % CI ([0-9.]+) to ([0-9.]+) jobs/s\)", text
    )
    assert limits is not None
    part = evidence(made).stretch("concurrent_load", "n20")
    assert part.started is not None
    assert part.ended is not None
    counts, _ = np.histogram([job.done for job in part.completed], bins=10, range=(part.started, part.ended))
    rates = counts * 10 / (part.ended - part.started)
    expected = stats.t.interval(0.95, 9, rates.mean(), stats.sem(rates))
    assert [float(limit) for limit in limits.groups()] == pytest.approx(expected, abs=0.005)
    assert "wait (long poll, not judged)" in text
    assert "**Throughput levels off between 20 and 50 jobs in flight:** 2.5 times" in text
    assert "2.42.0, scraped every 1 s" in text


def test_every_query_of_measurements_is_in_the_appendix(measured_dir: Path) -> None:
    export(measured_dir, None, charts=False)
    text = report(measured_dir)
    kept = json.loads((measured_dir / "measurements.json").read_text())
    assert kept["schema_version"] == 1
    assert len(kept["measurements"]) > 150
    shown = {query.replace(r"\|", "|") for query in re.findall(r"`([^`]+)`", text.split(": Queries\n")[1])}
    assert {m["query"] for m in kept["measurements"]} <= shown


def files(exported: Exported) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in exported.paths}


@pytest.mark.extended
def test_the_same_run_gives_the_same_bytes(run_dir: Path, prometheus_url: str) -> None:
    first = files(export(run_dir, prometheus_url, charts=False))
    assert set(first) == {"measurements.json", "summary.md", "performance_report.md", "appendix.md"}
    assert files(export(run_dir, None, charts=False)) == first  # from the kept measurements, without Prometheus


@pytest.mark.extended
def test_the_same_run_gives_the_same_bytes_with_its_charts(run_dir: Path, prometheus_url: str) -> None:
    first = files(export(run_dir, prometheus_url))
    assert set(first) == {
        "measurements.json",
        "summary.md",
        "performance_report.md",
        "appendix.md",
        "response_time_ecdf.svg",
        "response_time_by_concurrency.svg",
        "response_time_ecdf_by_concurrency.svg",
        "response_time_over_time.svg",
        "scalability.svg",
        "throughput_by_concurrency.svg",
        "component_breakdown.svg",
        "critical_path.svg",
        "performance_over_time.svg",
    }
    assert files(export(run_dir, None)) == first  # from the kept measurements, without Prometheus
    links = set(re.findall(r"\(figures/([a-z_]+\.svg)\)", report(run_dir)))
    assert links == {name for name in first if name.endswith(".svg")}
    again = files(export(run_dir, prometheus_url, charts=False))
    assert again["measurements.json"] == first["measurements.json"]


def test_a_lost_job_makes_the_scenario_inconclusive(measured_dir: Path) -> None:
    path = measured_dir / "jobs.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lost = next(i for i, line in enumerate(lines) if b'"throughput"' in line and b'"warmup":false' in line)
    path.write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
    exported = export(measured_dir, None, charts=False)
    assert (exported.status, exported.exit_code) == (Status.INCONCLUSIVE, 3)
    statuses = {v.scenario: v.status for v in exported.verdicts}
    assert statuses.pop("throughput") is Status.INCONCLUSIVE
    assert set(statuses.values()) == {Status.PASS}
    assert "throughput: traces, root spans has 396 jobs completed, the client's log 395." in report(measured_dir)


def test_an_incomplete_last_line_counts_as_a_lost_job(measured_dir: Path) -> None:
    path = measured_dir / "jobs.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    exported = export(measured_dir, None, charts=False)
    assert exported.exit_code == 3
    assert "throughput: Prometheus, loadgen_jobs_total has 396 jobs completed, the client's log 395." in report(
        measured_dir
    )


def test_a_run_without_traces_passes_with_a_note(measured_dir: Path) -> None:
    (measured_dir / "traces" / "loadgen.jsonl").unlink()
    assert export(measured_dir, None, charts=False).exit_code == 0
    assert "the run kept no traces" in report(measured_dir)


def test_the_report_shows_where_the_time_went_and_single_jobs(measured_dir: Path, made: MadeRun) -> None:
    export(measured_dir, None, charts=False)
    text = report(measured_dir)
    row = table(text, "Where the time goes")["concurrent_load / n20"]
    assert row[:2] == ["156", table(text, "Response time")["concurrent_load / n20"][3]]
    slowest = max(
        (job for job in made.jobs if job.scenario == "single_request" and not job.warmup),
        key=lambda job: job.done - job.due,
    )
    assert len(text.split("```text")) - 1 == 3 + 5
    assert f"Job {slowest.index} of single_request / n01, trace `{slowest.trace_id}`" in text
    assert "Jobs without a video, 8 in all, one of each kind first. 3 more are not shown." in text


@pytest.mark.extended
@pytest.mark.parametrize(
    ("kept", "why"), [(False, "Tempo at http://127.0.0.1:9 cannot be reached"), (True, "which was not queried")]
)
def test_without_tempo_the_report_lacks_only_traces(
    run_dir: Path, prometheus_url: str, *, kept: bool, why: str
) -> None:
    export(run_dir, prometheus_url, charts=False)
    stack = json.loads((run_dir / "stack.json").read_text())
    (run_dir / "stack.json").write_text(json.dumps(stack | {"traces_url": "http://127.0.0.1:9"}))
    exported = export(run_dir, None if kept else prometheus_url, charts=False)
    assert (exported.status, exported.exit_code) == (Status.INCONCLUSIVE, 3)  # a count that was promised is missing
    text = report(run_dir)
    assert re.search(rf"Root spans were not counted: .*{why}", text.split("## Verdict")[1].split("\n## ")[0])
    assert len(re.findall(rf"Traces not available: .*{why}", text)) == 2
    assert len(re.findall(rf"root spans .* not available +\| .*{why}", text)) == 5
    assert "```text" not in text


def test_a_busy_generator_makes_the_run_invalid(measured_dir: Path) -> None:
    def busy(run: RunRecord) -> RunRecord:
        data = msgspec.to_builtins(run)
        data["scenarios"][1]["cases"][4]["generator_cpu"] = 0.93
        return msgspec.convert(data, RunRecord)

    change(measured_dir, busy)
    exported = export(measured_dir, None, charts=False)
    assert (exported.status, exported.exit_code) == (Status.INVALID, 3)
    invalid = {(v.scenario, v.case) for v in exported.verdicts if v.status is Status.INVALID}
    assert invalid == {("concurrent_load", "n50")}
    assert "concurrent_load / n50: the load generator used 0.93 of a core, more than 0.8." in report(measured_dir)


def test_an_override_of_the_scenario_file_is_judged(measured_dir: Path) -> None:
    def strict(run: RunRecord) -> RunRecord:
        data = msgspec.to_builtins(run)
        data["scenarios"][0]["objectives"] = {"response_time_p95": 0.5}
        return msgspec.convert(data, RunRecord)

    change(measured_dir, strict)
    exported = export(measured_dir, None, charts=False)
    assert (exported.status, exported.exit_code) == (Status.FAIL, 1)
    row = table(report(measured_dir), "Why")["**FAIL**"]
    assert row[:3] == ["P95 response time", "single_request / n01", "903 ms"]
    assert row[4:6] == ["100", "≤ 500 ms"]
    assert row[6].endswith(" % above")


def test_an_interrupted_run_is_reported_as_far_as_recorded(run_dir: Path, prometheus_url: str) -> None:
    def interrupt(run: RunRecord) -> RunRecord:
        data = msgspec.to_builtins(run)
        data["state"] = "interrupted"
        for scenario in data["scenarios"][2:]:
            scenario.update(state="pending", started=None, ended=None, store=None)
            for case in scenario["cases"]:
                case.update(started=None, ended=None, generator_cpu=None, loop_lag_p99=None)
        return msgspec.convert(data, RunRecord)

    change(run_dir, interrupt)
    exported = export(run_dir, prometheus_url, charts=False)
    assert {v.scenario for v in exported.verdicts} == {"single_request", "concurrent_load"}
    text = report(run_dir)
    assert "The run was interrupted after " in text
    assert "Not run: api_latency, component_speed, throughput." in text
    assert "No scenario of this run measured the stages of a job." in text


def test_an_empty_run_gives_a_readable_report_without_data(run_dir: Path, prometheus_url: str) -> None:
    change(run_dir, lambda run: msgspec.structs.replace(run, scenarios=[], state=RunState.INTERRUPTED))
    (run_dir / "jobs.jsonl").write_bytes(b"")
    (run_dir / "requests.jsonl").write_bytes(b"")
    exported = export(run_dir, prometheus_url, charts=False)
    assert (exported.status, exported.exit_code, exported.verdicts) == (Status.INCONCLUSIVE, 3, ())
    assert "No job was completed" in report(run_dir)


@pytest.mark.extended
def test_no_prometheus_and_no_kept_measurements_is_no_data(run_dir: Path) -> None:
    exported = export(run_dir, None, charts=False)
    assert (exported.status, exported.exit_code) == (Status.NO_DATA, 3)
    assert {v.status for v in exported.verdicts} == {Status.NO_DATA}
    assert table(report(run_dir), "Response time")["single_request / n01"][3] == "0.621"


def test_a_prometheus_that_is_down_is_one_sentence(run_dir: Path) -> None:
    with pytest.raises(QueryError, match=r"Prometheus at http://127.0.0.1:9 cannot be reached"):
        export(run_dir, "http://127.0.0.1:9", charts=False)
    assert not (run_dir / "reports").exists()


def test_damaged_files_are_one_sentence(run_dir: Path) -> None:
    for name, content, sentence in (
        ("jobs.jsonl", b"{}\n", "line 1 is damaged"),
        ("measurements.json", b'{"schema_version": 9}', "schema version 9"),
        ("measurements.json", b"[", "damaged"),
        ("stack.json", b'{"schema_version": 9, "kind": "embedded"}', "schema version 9"),
        ("stack.json", b"{", "damaged"),
        ("run.json", b'{"schema_version": 9}', "schema version 9"),
        ("run.json", b'{"schema_vers', "damaged or cut off"),
    ):
        before = (run_dir / name).read_bytes() if (run_dir / name).exists() else None
        (run_dir / name).write_bytes(content)
        with pytest.raises(RecordError, match=sentence):
            export(run_dir, None, charts=False)
        (run_dir / name).unlink() if before is None else (run_dir / name).write_bytes(before)


@pytest.mark.extended
def test_small_samples_are_allowed_in_quick_only(measured_dir: Path, tmp_path: Path) -> None:
    catalogue = tmp_path / "slis.yaml"
    text = (REPOSITORY / "reporting" / "catalogue" / "slis.yaml").read_text().replace("min_n: 20", "min_n: 50")
    catalogue.write_text(text)
    standard = export(measured_dir, None, charts=False, catalogue=catalogue)
    assert (standard.status, standard.exit_code) == (Status.INCONCLUSIVE, 3)
    assert {v.reason for v in standard.verdicts if v.status is Status.INCONCLUSIVE} == {
        "n too small: 40, needs 50",
        "n too small: 30, needs 50",
    }
    change(measured_dir, lambda run: msgspec.structs.replace(run, profile="quick"))
    quick = export(measured_dir, None, charts=False, catalogue=catalogue)
    assert (quick.status, quick.exit_code) == (Status.PASS, 0)
    catalogue.write_text(text.replace("min_n: 50", "min_n: 5000"))
    nothing = export(measured_dir, None, charts=False, catalogue=catalogue)
    assert (nothing.status, nothing.exit_code) == (Status.INCONCLUSIVE, 0)


@pytest.mark.extended
@pytest.mark.acceptance
def test_a_report_without_charts_never_imports_matplotlib(run_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from reelbench.reporting.export import export; "
        f"export(Path({str(run_dir)!r}), None, charts=False); "
        "print([m for m in ('matplotlib', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_grafana_of_the_stack_is_linked_with_the_time_of_the_run(measured_dir: Path, made: MadeRun) -> None:
    stack = made.stack() | {"grafana_url": "http://127.0.0.1:3000"}
    (measured_dir / "stack.json").write_bytes(msgspec.json.encode(stack))
    export(measured_dir, None, charts=False)
    report = report_text(measured_dir, "performance")
    assert made.run.ended is not None
    times = f"from={round((made.run.started - 10) * 1000)}&to={round((made.run.ended + 10) * 1000)}"
    address = f"http://127.0.0.1:3000/d/reelbench-live/live-run?var-run_id={made.run.run_id}&{times}"
    assert f"[the run on the dashboard Live run]({address})" in report
