from __future__ import annotations

import ast
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.jobs import CallRecord, JobRecord, Outcome, RequestRecord, read_calls, read_jobs
from reelbench.loadgen.record.run import RunRecord, read_run, write_run
from reelbench.loadgen.record.run_files import to_line
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.export import Exported, export
from tests.acceptance import SCENARIOS
from tests.report_text import report_text
from tests.reporting import made_outages

SVG = "{http://www.w3.org/2000/svg}"


def exported(folder: Path) -> tuple[Exported, str]:
    done = export(folder, None, charts=False)
    return done, report_text(folder, "reliability")


def tables(text: str, heading: str) -> list[dict[str, list[str]]]:
    """All tables of a section: cells by the first cell of the row; a repeated first cell gets a number."""
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        rows: dict[str, list[str]] = {}
        for line in block.splitlines()[2:]:
            first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            name = first if first not in rows else f"{first} {sum(1 for row in rows if row.startswith(first)) + 1}"
            rows[name] = cells
        found.append(rows)
    return found


def figures_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in export(folder, None).paths if path.suffix == ".svg"}


def change_run(folder: Path, edit: Callable[[RunRecord], RunRecord]) -> None:
    write_run(folder, edit(read_run(folder)))


def change_jobs(folder: Path, edit: Callable[[JobRecord], JobRecord]) -> None:
    (folder / "jobs.jsonl").write_bytes(b"".join(to_line(edit(job)) for job in read_jobs(folder)))


def change_calls(folder: Path, calls: list[CallRecord]) -> None:
    (folder / "calls.jsonl").write_bytes(b"".join(map(to_line, calls)))


def change_scenario(run: RunRecord, name: str, **changes: object) -> RunRecord:
    scenarios = [msgspec.structs.replace(s, **changes) if s.name == name else s for s in run.scenarios]
    return msgspec.structs.replace(run, scenarios=scenarios)


def store_of(run: RunRecord, name: str, **changes: object) -> RunRecord:
    store = next(s.store for s in run.scenarios if s.name == name)
    assert store is not None
    return change_scenario(run, name, store=msgspec.structs.replace(store, **changes))


def test_a_good_run_passes_with_one_verdict_per_objective(outages_dir: Path) -> None:
    done, text = exported(outages_dir)
    assert (done.status, done.exit_code) == (Status.PASS, 0)
    judged = {(v.sli.id, v.scenario, v.case, v.member): (v.value, v.n) for v in done.verdicts}
    lost = ("normal_operation", "tts_failures", "llm_outage", "store_outage", "partial_failures", "data_integrity")
    assert judged == {
        ("success_rate", "normal_operation", "n05", ""): (0.975, 40),
        ("recovery_rate", "tts_failures", "", "tts"): (pytest.approx(58 / 60), 60),
        ("breaker_opened", "llm_outage", "", ""): (1.0, 3),
        ("calls_while_open", "llm_outage", "", ""): (0.0, 83),
        **{("jobs_lost", name, "", ""): (0.0, n) for name, n in zip(lost, (40, 40, 79, 36, 40, 50), strict=True)},
        ("integrity_share", "data_integrity", "", ""): (1.0, 50),
    }
    names = ["measurements.json", "summary.md", "reliability_report.md", "appendix.md"]
    assert [path.name for path in done.paths] == names
    assert done.summary[-3:] == (
        "reliability: PASS (11 objectives; holds, not proven: 9; holds, proven: 2)",
        "PASS: 11 of 11 objectives hold, 2 of them proven.",
        str(done.paths[1]),
    )
    assert "**Verdict: PASS**" in text


def test_key_metrics_have_n_and_interval(outages_dir: Path) -> None:
    section = exported(outages_dir)[1].split("## Key metrics")[1].split("## ")[0]
    assert "Success rate in normal operation: **97.5 %** (95 % CI 86.8 to 99.9 %, 39 of 40)." in section
    assert (
        "MTTR of a provider outage: **5.750 s** (95 % CI 0.000 to 17.821 s, n = 2 outages; not included: 1 not "
        "recovered within the case)."
    ) in section
    assert "Recovery rate of transient failures: **96.7 %** (95 % CI 88.5 to 99.6 %, 58 of 60)." in section


def test_success_by_case(outages_dir: Path) -> None:
    (rows,) = tables(exported(outages_dir)[1], "Success rate")
    assert rows["normal_operation / n05"] == [
        "40", "39", "1", "0", "0", "0", "0", "0", "97.5 (86.8 to 99.9)", "97.5",
    ]  # fmt: skip
    assert rows["store_outage / n05"] == [
        "40", "36", "0", "4", "0", "0", "0", "0", "90.0 (76.3 to 97.2)", "90.0",
    ]  # fmt: skip
    assert rows["job_cancellation / n05"][:7] == ["20", "2", "0", "0", "0", "0", "18"]


def test_error_recovery(outages_dir: Path) -> None:
    text = exported(outages_dir)[1]
    retries, latency, rates = tables(text, "Error recovery")
    assert retries == {
        "normal_operation / TTS": ["200", "200", "0", "0", "0", "200", "1.000", "0.000", "-"],
        "tts_failures / LLM": ["40", "40", "0", "0", "0", "40", "1.000", "0.000", "-"],
        "tts_failures / TTS": ["200", "140", "58", "0", "2", "290", "1.450", "29.000", "96.7 (88.5 to 99.6)"],
        "llm_outage / LLM": ["79", "46", "0", "0", "33", "178", "2.253", "16.000", "0.0 (0.0 to 10.6)"],
        "partial_failures / Image": ["190", "182", "0", "8", "0", "190", "1.000", "0.000", "0.0 (0.0 to 36.9)"],
    }
    assert latency == {
        "normal_operation": ["39", "1.190", "1.190", "1.190", "1.370*", "1.363 (bucket 1.316 to 1.382)"],
        "tts_failures": ["40", "1.695", "1.695", "1.690", "1.870*", "1.898 (bucket 1.852 to 1.944)"],
        "difference": ["-", "+0.505 (+0.453 to +0.557)", "-", "+0.500", "+0.500", "-"],
    }
    assert rates["tts_failures / n05"] == ["tts", "error", "30.0", "87 of 290", "30.0", "yes"]
    assert rates["partial_failures / n05"] == ["image", "error", "20.0", "8 of 200", "4.0", "**no**"]
    assert "**1.45 attempts per call** (n = 200 calls). Waits between attempts: 145 ms per call." in text


def test_circuit_breaker(outages_dir: Path) -> None:
    text = exported(outages_dir)[1]
    transitions, passed, recovered = tables(text, "Circuit breaker")
    assert len(transitions) == 15
    assert transitions["llm_outage / n05"] == ["llm", "5.400", "closed", "open", "2026-09-21 14:18:25 UTC"]
    assert transitions["llm_outage / n10 3"] == ["llm", "7.600", "half_open", "open", "2026-09-21 14:20:07 UTC"]
    assert list(passed.values()) == [
        ["llm", "2.000", "0", "1", "50.0"],
        *[["llm", "2.000", "0", "0", "-"]] * 5,
        ["llm", "to the end of the case", "0", "0", "-"],
    ]
    assert list(recovered.values()) == [
        ["llm", "5.000", "0.400", "1.600", "0.100", "1.300", "1.700", "6.700"],
        ["llm", "4.000", "0.600", "0.700", "0.100", "1.200", "0.800", "4.800"],
        ["llm", "4.000", "0.500", "-", "-", "-", "-", "not within the case"],
    ]
    for figure in (
        "opened in **3 of 3** outages and closed again in 2 within",
        "**0 calls passed while the breaker was open**, of 83 calls counted at the provider (7 open intervals). 1 more",
        "rejected by an open breaker: 60 (PromQL)",
        "failed after 299 ms on average, 299 ms at most (n = 27)",
        "median 5.750 s, minimum 4.800 s, maximum 6.700 s",
        "1.250 s on average, 0.800 to 1.700 s (n = 2)",
        "not recovered within the case: 1.",
    ):
        assert figure in text, figure


def test_store_outage(outages_dir: Path) -> None:
    text = exported(outages_dir)[1]
    (rows,) = tables(text, "Store outage")
    assert rows == {"store_outage / n05": ["outage", "5.000", "10", "6", "4", "0", "0.011"]}
    assert "Jobs lost in `store_outage`: **0 of 36** accepted ones (95 % CI 0.0 to 9.7 %, exact)." in text
    assert "kept on disk during the outage: 12; written back, the latest state of each job: 12 (PromQL)" in text
    assert "Rejected at creation: 4 store_unavailable." in text
    assert "waiting for the store: 2.0 s after the last lifting" in text


def test_states_waiting_for_the_store_are_read_from_samples_or_the_audit(outages_dir: Path) -> None:
    kept = msgspec.json.decode((outages_dir / "measurements.json").read_bytes())
    for measurement in kept["measurements"]:
        if measurement["sli"] == "store_unsaved_until":
            measurement.update(value=None, no_data="no series matched")
    (outages_dir / "measurements.json").write_bytes(msgspec.json.encode(kept))
    assert "≤ 30.0 s after the last lifting" in exported(outages_dir)[1]
    audit = msgspec.structs.replace(made_outages.AUDIT, unsaved=3)
    change_run(outages_dir, lambda run: change_scenario(run, "store_outage", audit=audit))
    text = exported(outages_dir)[1]
    assert "waited for the store at the end of the scenario: **3**" in text
    assert tables(text, "Data integrity")[2]["store_outage"] == ["0", "3", "0", "0", "**not clean**"]
    assert "**The audit after store_outage is not clean:** 3 unsaved states" in text


def test_partial_failures(outages_dir: Path) -> None:
    text = exported(outages_dir)[1]
    (rows,) = tables(text, "Partial failure handling")
    assert rows == {
        "completed, whole": ["30 of 40", "75.0 (58.8 to 87.3)"],
        "completed, partial": ["8 of 40", "20.0 (9.1 to 35.6)"],
        "completed, manifest not read": ["0 of 40", "0.0 (0.0 to 8.8)"],
        "failed": ["2 of 40", "5.0 (0.6 to 16.9)"],
        "end not known": ["0 of 40", "0.0 (0.0 to 8.8)"],
    }
    assert "Scenes lost in completed videos: **4.2 %** (95 % CI 1.8 to 8.1 %, 8 of 190)" in text
    assert "8 by the manifests, 8 by the service (PromQL): the counts agree" in text

    def whole(job: JobRecord) -> JobRecord:
        return msgspec.structs.replace(job, scenes_completed=5) if job.scenes_completed == 4 else job

    change_jobs(outages_dir, whole)
    assert "0 by the manifests, 8 by the service (PromQL): **the counts differ**." in exported(outages_dir)[1]


def test_cancellation(outages_dir: Path) -> None:
    text = exported(outages_dir)[1]
    (rows,) = tables(text, "Cancellation")
    assert rows == {
        "job_cancellation: client, sent to answered": [
            "18", "95.0", "90.0", "180.0", "from 150.0, no upper limit", "180.0",
        ],
        "job_cancellation: service, work stopped and files removed (PromQL)": [
            "18", "47.5", "-", "90.4", "bucket 89.9 to 94.4", "-",
        ],
    }  # fmt: skip
    assert "18 of 20 jobs were cancelled in progress; 2 had already ended." in text
    assert ": **0 of 18** (95 % CI 0.0 to 18.5 %, exact)" in text


def test_data_integrity(outages_dir: Path) -> None:
    text = exported(outages_dir)[1]
    violations, by_scenario, audit = tables(text, "Data integrity")
    assert violations == {
        "lost": ["0 of 285", "0.00 (0.00 to 1.29)"],
        "duplicated": ["0 of 305", "0.00 (0.00 to 1.20)"],
        "corrupt": ["0 of 88", "0.00 (0.00 to 4.11)"],
        "broken": ["-", "-"],
        "not ended": ["0 of 305", "0.00 (0.00 to 1.20)"],
    }
    assert by_scenario["partial_failures"] == ["0 of 40", "0 of 40", "0 of 38", "-", "0 of 40", "494"]
    assert by_scenario["job_cancellation"] == ["-", "0 of 20", "-", "-", "0 of 20", "0"]
    assert audit["llm_outage"] == ["0", "0", "0", "0", "clean"]
    assert "Integrity in `data_integrity`: **100.0 %** (95 % CI 92.9 to 100.0 %, 50 of 50)" in text


def test_the_score_row_by_row(outages_dir: Path) -> None:
    text = exported(outages_dir)[1]
    (rows,) = tables(text, "Reliability score")
    assert {name: cells[:4] for name, cells in rows.items()} == {
        "jobs completed in normal operation": ["2", "39 of 40", "0.9750", "1.9500"],
        "transient provider failures recovered by a retry": ["2", "58 of 60", "0.9667", "1.9333"],
        "provider outages with the breaker opened and closed again": ["2", "2 of 3", "0.6667", "1.3333"],
        "attempts rejected by an open breaker, of those and passed calls (key)": ["2", "60 of 60", "1.0000", "2.0000"],
        "accepted jobs not lost (key)": ["3", "285 of 285", "1.0000", "3.0000"],
        "checked jobs with intact files": ["2", "50 of 50", "1.0000", "2.0000"],
        "jobs with a video despite refused scenes": ["1", "38 of 40", "0.9500", "0.9500"],
        "cancelled jobs without leftovers": ["1", "18 of 18", "1.0000", "1.0000"],
        "sum": ["15", "", "", "14.1667"],
    }
    assert "**Reliability score: 94.4 of 100, PASS** (14.1667 / 15 * 100)." in text


def test_a_call_through_an_open_breaker_fails_score_and_report(outages_dir: Path) -> None:
    passed = [made_outages.call("n05", 6.0, 6.002, "outage"), made_outages.call("n05", None, 21.0, "outage")]
    change_calls(outages_dir, [*read_calls(outages_dir), *passed])
    done, text = exported(outages_dir)
    assert (done.status, done.exit_code) == (Status.FAIL, 1)
    (row,) = tables(text, "Why")[0].values()
    assert row[:3] == ["Provider calls passed while the breaker was open", "llm_outage", "2 calls"]
    assert row[5:7] == ["≤ 0 calls", "2 calls above"]
    assert tables(text, "Circuit breaker")[1]["llm_outage / n05"] == ["llm", "2.000", "1", "1", "50.0"]
    (rows,) = tables(text, "Reliability score")
    assert rows["attempts rejected by an open breaker, of those and passed calls (key)"] == [
        "2", "60 of 62", "0.9677", "1.9355", "**fails the score**",
    ]  # fmt: skip
    assert "**Reliability score: 94.0 of 100, FAIL**" in text
    assert "**2 calls passed an open breaker:**" in text


def test_which_arrivals_are_violations(outages_dir: Path) -> None:
    """The breaker is open from 5.4 to 7.4 s, from 7.5 to 9.5 s and from 9.6 to 11.6 s."""
    allowed = [
        (5.39, 5.41),  # sent before the opening
        (7.39, 7.40),  # arrived with the probe
        (7.45, 7.46),  # half open
        (11.69, 11.71),  # closed again
    ]
    passed = [(5.40, 5.41), (9.40, 9.45)]
    calls = [made_outages.call("n05", *times, "outage") for times in (*allowed, *passed)]
    change_calls(outages_dir, [*read_calls(outages_dir), *calls])
    verdict = next(v for v in exported(outages_dir)[0].verdicts if v.sli.id == "calls_while_open")
    assert (verdict.value, verdict.status) == (2.0, Status.FAIL)


def test_a_breaker_that_opened_in_another_scenario_is_named(outages_dir: Path) -> None:
    def open_tts(run: RunRecord) -> RunRecord:
        opened = msgspec.structs.replace(run.transitions[0], scenario="tts_failures", provider="tts")
        return msgspec.structs.replace(run, transitions=[*run.transitions, opened])

    change_run(outages_dir, open_tts)
    text = exported(outages_dir)[1]
    assert "The breaker of tts also opened 1 time in `tts_failures`" in text
    assert len(tables(text, "Circuit breaker")[0]) == 15


def test_a_lost_job_fails_even_if_counts_differ(outages_dir: Path) -> None:
    change_run(outages_dir, lambda run: store_of(run, "store_outage", found=35, by_status={"completed": 35}))
    done, text = exported(outages_dir)
    assert (done.status, done.exit_code) == (Status.FAIL, 1)
    statuses = {v.scenario: v.status for v in done.verdicts if v.sli.id == "jobs_lost"}
    assert statuses.pop("store_outage") is Status.FAIL
    assert set(statuses.values()) == {Status.PASS}
    assert "**1 of 36** accepted ones (95 % CI 0.1 to 14.5 %, exact)" in text
    assert "store_outage: store has 35 accepted jobs not deleted (with warm-up), the client's log 36." in text
    assert tables(text, "Reliability score")[0]["accepted jobs not lost (key)"][1] == "284 of 285"
    assert "Key part below 1: accepted jobs not lost." in text


def test_a_job_without_an_end_in_the_store_is_lost(outages_dir: Path) -> None:
    change_run(
        outages_dir,
        lambda run: store_of(run, "llm_outage", by_status={"completed": 46, "failed": 31, "in_progress": 2}),
    )
    verdict = next(
        v for v in exported(outages_dir)[0].verdicts if (v.sli.id, v.scenario) == ("jobs_lost", "llm_outage")
    )
    assert (verdict.value, verdict.status) == (2.0, Status.FAIL)


def test_corrupt_duplicated_and_stuck_jobs_are_counted(outages_dir: Path) -> None:
    def spoil(job: JobRecord) -> JobRecord:
        if job.scenario != "data_integrity" or job.index > 6:
            return job
        if job.index < 6:
            return msgspec.structs.replace(job, integrity="corrupt" if job.index else "missing")
        return msgspec.structs.replace(
            job, job_id="data_integrity-n05-7", outcome=Outcome.TIMEOUT, integrity=None, files=None
        )

    change_jobs(outages_dir, spoil)
    done, text = exported(outages_dir)
    rows = tables(text, "Data integrity")[1]
    assert rows["data_integrity"] == ["0 of 50", "1 of 49", "6 of 49", "-", "1 of 50", "637"]
    verdict = next(v for v in done.verdicts if v.sli.id == "integrity_share")
    assert (verdict.value, verdict.n) == (pytest.approx(43 / 49), 49)


def test_an_unread_list_gives_no_score_unless_a_loss_is_known(outages_dir: Path) -> None:
    change_run(outages_dir, lambda run: change_scenario(run, "data_integrity", store=None))
    text = exported(outages_dir)[1]
    assert "**No score: NO DATA.** No data in: accepted jobs not lost." in text
    assert "sum" not in tables(text, "Reliability score")[0]
    change_run(outages_dir, lambda run: store_of(run, "llm_outage", found=78))
    text = exported(outages_dir)[1]
    assert "**Reliability score: 94.4 of 100, FAIL**" in text
    assert tables(text, "Reliability score")[0]["accepted jobs not lost (key)"][1] == "234 of 235"


@pytest.mark.extended
def test_a_baseline_without_breaker_shows_the_calls_instead(outages_dir: Path) -> None:
    change_run(
        outages_dir,
        lambda run: msgspec.structs.replace(run, transitions=[], switches={"retries": True, "breaker": False}),
    )
    done, text = exported(outages_dir)
    assert "- Baseline: the service ran without breaker." in text
    assert "breaker **off**, retries on" in text
    assert "MTTR of a provider outage: no data, the breaker was off." in text
    assert "**The breaker was switched off**" in text
    assert list(tables(text, "Circuit breaker")[0].values()) == [
        ["llm", "5.000", "5.000", "13"],
        ["llm", "20.000", "4.000", "11"],
        ["llm", "5.000", "4.000", "11"],
    ]
    assert b">off<" in figures_of(outages_dir)["breaker_timeline_n10_llm.svg"]
    verdicts = {v.sli.id: (v.status, v.reason) for v in done.verdicts}
    assert verdicts["calls_while_open"] == (Status.NO_DATA, "the service ran without its circuit breaker")
    assert done.status is Status.NO_DATA


@pytest.mark.extended
def test_without_call_counts_there_is_no_pass(outages_dir: Path) -> None:
    (outages_dir / "calls.jsonl").unlink()
    done, text = exported(outages_dir)
    assert done.status is Status.NO_DATA
    (row,) = [cells for first, cells in tables(text, "Why")[0].items() if first.startswith("**NO DATA**")]
    assert row[:2] == ["Provider calls passed while the breaker was open", "llm_outage"]
    assert row[-1].startswith("no calls were counted")
    assert "**No score: NO DATA.** No data in: attempts rejected by an open breaker" in text
    assert tables(text, "Circuit breaker")[1]["llm_outage / n05"] == ["llm", "2.000", "-", "-", "-"]
    assert len(figures_of(outages_dir)) == 3


def test_a_fault_that_was_never_lifted_makes_the_report_inconclusive(outages_dir: Path) -> None:
    def unlift(run: RunRecord) -> RunRecord:
        return msgspec.structs.replace(
            run, faults=[*run.faults[:-1], msgspec.structs.replace(run.faults[-1], ended=None)]
        )

    change_run(outages_dir, unlift)
    done, text = exported(outages_dir)
    assert (done.status, done.exit_code) == (Status.INCONCLUSIVE, 3)
    assert (
        "- partial_failures / n05: the fault error of image was never confirmed to be lifted, so what came after it is "
        "not known."
    ) in text
    assert tables(text, "Reliability: Workload")[1]["partial_failures / n05"][-3:] == ["never confirmed", "200", "8"]


@pytest.mark.extended
def test_a_run_killed_during_an_outage_is_readable(outages_dir: Path) -> None:
    begin = made_outages.BEGIN["llm_outage", "n05"]

    def kill(run: RunRecord) -> RunRecord:
        data = msgspec.to_builtins(run)
        data.update(state="running", ended=None, switches=None)
        data["faults"] = [
            {**f, **({} if f["scenario"] == "tts_failures" else {"ended": None, "seen": None, "hit": None})}
            for f in data["faults"]
            if f["started"] < begin + 8
        ]
        data["transitions"] = [t for t in data["transitions"] if t["at"] < begin + 8]
        for scenario in data["scenarios"][2:]:
            started = scenario["name"] == "llm_outage"
            scenario.update(state="running" if started else "pending", ended=None, store=None, audit=None)
            for number, case in enumerate(scenario["cases"]):
                case.update(ended=None, generator_cpu=None, loop_lag_p99=None)
                if not started or number:
                    case["started"] = None
        return msgspec.convert(data, RunRecord)

    change_run(outages_dir, kill)
    kept = [job for job in read_jobs(outages_dir) if job.done < begin + 8]
    (outages_dir / "jobs.jsonl").write_bytes(b"".join(map(to_line, kept)) + b'{"scenario": "llm_ou')
    change_calls(outages_dir, [call for call in read_calls(outages_dir) if call.arrived < begin + 8])
    done = export(outages_dir, None)
    text = report_text(outages_dir, "reliability")
    assert done.exit_code == 3
    assert "The run was ended from outside after " in text
    assert "Not run: store_outage, partial_failures, job_cancellation, data_integrity." in text
    assert "llm_outage / n05: the fault outage of llm was never confirmed to be lifted" in text
    assert tables(text, "Circuit breaker")[2]["llm_outage / n05"] == [
        "llm",
        "-",
        "0.400",
        *["-"] * 4,
        "not within the case",
    ]
    assert (outages_dir / "reports" / "figures" / "breaker_timeline_n05_llm.svg").exists()


@pytest.mark.extended
def test_the_chart_shows_faults_states_and_calls(outages_dir: Path) -> None:
    figures = figures_of(outages_dir)
    assert set(figures) == {"breaker_timeline_n05_llm.svg", "breaker_timeline_n10_llm.svg", "reliability_over_time.svg"}
    drawn = ET.fromstring(figures["breaker_timeline_n05_llm.svg"])  # noqa: S314 - our own bytes
    texts = {element.text for element in drawn.iter(f"{SVG}text")}
    assert {
        "Circuit breaker of llm, llm_outage / n05", "closed", "half open", "open", "fault on", "state of the breaker",
        "call: ok", "call: outage", "Time from the start of the case [s]",
    } <= texts  # fmt: skip
    links = re.findall(r"\(figures/([a-z0-9_]+\.svg)\)", report_text(outages_dir, "reliability"))
    assert links == ["reliability_over_time.svg", "breaker_timeline_n05_llm.svg", "breaker_timeline_n10_llm.svg"]


def test_the_same_reliability_run_gives_the_same_bytes(outages_dir: Path) -> None:
    # With charts: tests/reporting/test_publish.py.
    first = {path.name: path.read_bytes() for path in export(outages_dir, None, charts=False).paths}
    again = {path.name: path.read_bytes() for path in export(outages_dir, None, charts=False).paths}
    assert first == again
    kept = msgspec.json.decode(first["measurements.json"])["measurements"]
    assert next(m for m in kept if m["sli"] == "mttr") == {
        "sli": "mttr",
        "scenario": "llm_outage",
        "case": "",
        "member": "",
        "source": "records",
        "query": "mean_time_to_recovery(llm_outage)",
        "instant": made_outages.ENDED + 5,
        "value": 5.75,
        "no_data": None,
        "bound": None,
        "n": 2,
        "interval": {"lower": 0.0, "upper": 17.8208951052, "method": "Student's t"},
        "open_end": "",
    }


def test_changed_records_are_evaluated_with_kept_measurements(outages_dir: Path) -> None:
    exported(outages_dir)
    change_run(outages_dir, lambda run: store_of(run, "data_integrity", found=49))
    verdict = next(
        v for v in exported(outages_dir)[0].verdicts if (v.sli.id, v.scenario) == ("jobs_lost", "data_integrity")
    )
    assert verdict.value == 1.0


def test_without_prometheus_records_are_still_evaluated(outages_dir: Path) -> None:
    (outages_dir / "measurements.json").unlink()
    done, text = exported(outages_dir)
    values = {v.sli.id: v.value for v in done.verdicts}
    assert (values["calls_while_open"], values["recovery_rate"]) == (0.0, None)
    assert "Recovery rate of transient failures: no data." in text
    assert done.status is Status.NO_DATA


def test_two_dimensions_give_two_reports_and_the_worse_status(measured_dir: Path, outages_dir: Path) -> None:
    """The performance scenarios of one made run with the reliability scenarios of the other."""
    other = read_run(outages_dir)
    change_run(
        measured_dir,
        lambda run: msgspec.structs.replace(
            run,
            scenarios=[*run.scenarios, *other.scenarios],
            faults=other.faults,
            transitions=other.transitions,
            switches=other.switches,
            started=min(run.started, other.started),
            ended=max(run.ended or 0.0, other.ended or 0.0),
        ),
    )
    for name in ("jobs.jsonl", "calls.jsonl"):
        with (measured_dir / name).open("ab") as file:
            file.write((outages_dir / name).read_bytes())
    with (measured_dir / "requests.jsonl").open("ab") as file:
        file.writelines(
            to_line(
                RequestRecord(
                    scenario=job.scenario, case=job.case, index=job.index, warmup=job.warmup, operation="create",
                    sent=job.sent, duration=0.01, status=202, bytes=300,
                )
            )
            for job in read_jobs(outages_dir)
        )  # fmt: skip
    done = export(measured_dir, None, charts=False)
    assert [path.stem for path in done.paths] == [
        "measurements", "summary", "performance_report", "reliability_report", "appendix",
    ]  # fmt: skip
    lines = [line.split(" (")[0] for line in done.summary if line.startswith(("performance: ", "reliability: "))]
    assert lines == [
        "performance: PASS",
        "reliability: INCONCLUSIVE",
    ]  # the traces of one run lack the jobs of the other
    assert (done.status, done.exit_code) == (Status.INCONCLUSIVE, 3)


@pytest.mark.extended
def test_the_report_is_written_in_two_seconds(outages_dir: Path) -> None:
    many = [made_outages.call("n05", i / 2000, i / 2000 + 0.0001, "ok") for i in range(50_000)]
    change_calls(outages_dir, many)
    begun = time.process_time()
    export(outages_dir, None, charts=False)
    assert time.process_time() - begun < 2


def test_unreadable_breakers_are_no_data(outages_dir: Path) -> None:
    def unread(run: RunRecord) -> RunRecord:
        (scenario,) = [s for s in run.scenarios if s.name == "llm_outage"]
        cases = [msgspec.structs.replace(case, breakers_read=False) for case in scenario.cases]
        run = change_scenario(run, "llm_outage", cases=cases)
        return msgspec.structs.replace(run, transitions=[], switches=None)

    change_run(outages_dir, unread)
    done, text = exported(outages_dir)
    verdicts = {v.sli.id: (v.status, v.reason) for v in done.verdicts if v.scenario == "llm_outage"}
    for sli in ("breaker_opened", "calls_while_open"):
        assert verdicts[sli] == (Status.NO_DATA, "the service's breakers could not be read")
    assert "their state is not known" in text
    assert "did not open in" not in text


def test_a_call_log_with_missing_calls_does_not_reconcile(outages_dir: Path) -> None:
    kept = [call for call in made_outages.calls() if call.outcome != "outage"]
    change_calls(outages_dir, kept)
    done, text = exported(outages_dir)
    assert done.status is Status.INCONCLUSIVE
    assert "llm_outage: providers, calls.jsonl has " in text
    assert "calls of llm during the outage (the fault saw " in text


def renamed(folder: Path, names: dict[str, str]) -> None:
    """Rename the scenarios of a made run in every file."""
    for path in (folder / "run.json", folder / "jobs.jsonl", folder / "calls.jsonl", folder / "measurements.json"):
        text = path.read_text()
        for old, new in names.items():
            text = text.replace(f'"{old}"', f'"{new}"')
        path.write_text(text)


def test_scenarios_under_other_names_give_the_same_sections(outages_dir: Path) -> None:
    """A section finds its subject in the evidence: by faults, cancellations and checked files."""
    names = {name: f"my_{name[::-1]}" for name, _ in made_outages.BEGIN}
    before = exported(outages_dir)[1]
    renamed(outages_dir, names)
    after = exported(outages_dir)[1]
    for old, new in names.items():
        after = after.replace(new, old)
    titles = (
        "Key metrics", "Success rate", "Error recovery", "Circuit breaker", "Store outage", "Partial failure handling",
        "Cancellation", "Reliability score", "What to do",
    )  # fmt: skip
    for title in titles:
        (old, new) = (text.split(f"\n## {title}\n")[1].split("\n## ")[0] for text in (before, after))
        assert re.sub(r"[ -]+", " ", old) == re.sub(r"[ -]+", " ", new)


def test_a_single_outage_has_its_section_and_a_partial_score(outages_dir: Path) -> None:
    def alone(run: RunRecord) -> RunRecord:
        kept = [s for s in run.scenarios if s.name == "llm_outage"]
        return msgspec.structs.replace(
            run, scenarios=kept, faults=[f for f in run.faults if f.scenario == "llm_outage"]
        )

    change_run(outages_dir, alone)
    renamed(outages_dir, {"llm_outage": "my_outage"})
    done, text = exported(outages_dir)
    judged = {v.sli.id: v.value for v in done.verdicts if v.scenario == "my_outage"}
    assert judged == {"breaker_opened": 1.0, "calls_while_open": 0.0, "jobs_lost": 0.0}
    assert set(tables(text, "Circuit breaker")[2]) == {"my_outage / n05", "my_outage / n05 2", "my_outage / n10"}
    (rows,) = tables(text, "Reliability score")
    tested = {name: cells[1] for name, cells in rows.items() if cells[4] != "not tested"}
    assert tested == {
        "provider outages with the breaker opened and closed again": "2 of 3",
        "attempts rejected by an open breaker, of those and passed calls (key)": "60 of 60",
        "accepted jobs not lost (key)": "79 of 79",
        "sum": "",
    }
    # (2 * 2/3 + 2 + 3) / 7; with all parts tested it would pass or fail
    assert "**Reliability score: 90.5 of 100, INCONCLUSIVE** (6.3333 / 7 * 100)." in text
    assert "It rests on 3 of 8 parts" in text


@pytest.mark.extended
def test_sections_name_no_scenario_and_no_indicator() -> None:
    """Sections find scenarios by evidence and indicators by role: neither stands as a literal string."""
    folder = Path(export.__code__.co_filename).parent
    files = (*folder.rglob("sections/**/*.py"), *folder.rglob("analysis/*.py"), folder / "export.py")
    ids = {sli.id for sli in load().slis}
    found = [
        (path.name, node.value)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.strip("` ") in SCENARIOS or ("sections" in path.parts and node.value in ids)
    ]
    assert found == []
