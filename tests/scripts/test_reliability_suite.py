"""The reliability scenarios on the embedded stack, run with the users' command: faults, baselines, a killed service."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from reelbench.loadgen.record.jobs import Outcome, read_calls, read_jobs
from reelbench.loadgen.record.run import FaultRecord, RunRecord, RunState, read_run
from reelbench.stack.prometheus import PrometheusBinary
from tests.acceptance import SuiteRun, names, needs
from tests.commands import DEADLINE, command, left_behind, only_run, run
from tests.report_text import report_text

CALLS = 100
"""Calls of a provider that 20 jobs of five scenes make without a retry."""

pytestmark = pytest.mark.acceptance


def alone(runs: Path, *scenarios: str, **environment: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run some scenarios with the suite; return the results and check that no process remains."""
    chosen = [part for name in scenarios for part in ("--scenario", name)]
    done = run("run_suite.py", "--embedded", "--no-charts", "--runs", str(runs), *chosen, **environment)
    assert left_behind(runs) == []
    folder = only_run(runs)
    assert [fault for fault in read_run(folder).faults if fault.ended is None] == [], done.stderr
    return folder, done


def report(folder: Path) -> str:
    return report_text(folder, "reliability")


def faults(record: RunRecord, scenario: str) -> list[FaultRecord]:
    return [fault for fault in record.faults if fault.scenario == scenario]


@pytest.fixture
def finished(suite: SuiteRun) -> tuple[Path, str]:
    """The run of the acceptance suite and its output."""
    return suite.folder, suite.printed


@needs(*names("reliability"))
def test_the_report_passes_with_all_toggles_on(suite: SuiteRun) -> None:
    lines = suite.printed.splitlines()
    assert [line for line in lines if line.startswith("reliability: PASS (")]
    assert suite.report("reliability").is_file()
    assert suite.record.switches is not None
    assert (suite.record.switches["retries"], suite.record.switches["breaker"]) == (True, True)


@needs(*names("reliability"))
def test_every_scenario_leaves_an_idle_service(finished: tuple[Path, str]) -> None:
    for scenario in read_run(finished[0]).scenarios:
        audit = scenario.audit
        assert audit is not None
        assert (audit.live, audit.unsaved, audit.orphans, audit.missing, audit.error) == (0, 0, 0, 0, None)


@needs("tts_failures")
def test_retries_hide_a_provider_that_fails_30_percent_of_its_calls(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    (fault,) = faults(read_run(folder), "tts_failures")
    assert fault.seen is not None
    assert fault.seen > CALLS
    # Blocks of ten calls have three hits each.
    assert 3 * (fault.seen // 10) <= (fault.hit or 0) <= 3 * math.ceil(fault.seen / 10)
    ends = Counter(job.outcome for job in read_jobs(folder) if job.scenario == "tts_failures")
    assert ends[Outcome.COMPLETED] >= 19


@needs("llm_outage")
def test_no_call_reaches_the_provider_while_the_breaker_is_open(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    record = read_run(folder)
    changes = [t for t in record.transitions if t.scenario == "llm_outage"]
    opened = [t.at for t in changes if t.after == "open"]
    probed = [t.at for t in changes if t.after == "half_open"]
    assert len(opened) == len(probed) >= 2
    calls = [call for call in read_calls(folder) if call.scenario == "llm_outage" and call.provider == "llm"]
    late = [
        call
        for call in calls
        for begin, end in zip(opened, probed, strict=True)
        if call.sent is not None and begin < call.sent < end
    ]
    assert late == []
    hits = sum(fault.hit or 0 for fault in faults(record, "llm_outage"))
    assert sum(call.outcome == "outage" for call in calls) == hits


@needs("store_outage")
def test_no_job_is_lost_while_the_store_is_away(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    (scenario,) = [s for s in read_run(folder).scenarios if s.name == "store_outage"]
    jobs = [job for job in read_jobs(folder) if job.scenario == "store_outage"]
    (fault,) = faults(read_run(folder), "store_outage")
    assert fault.ended is not None
    assert len([job for job in jobs if fault.started <= job.sent <= fault.ended]) >= 8
    accepted = [job for job in jobs if job.accepted is not None]
    # Jobs that are only in the store cannot be read during the outage: one per virtual user can have just ended.
    unread = [job for job in accepted if job.outcome is not Outcome.COMPLETED]
    assert len(unread) <= 4
    for job in unread:
        assert (job.outcome, job.error is not None) == (Outcome.ERROR, True)
        assert str(job.error).startswith("HTTP 503: The job store ")
        assert job.sent < fault.started <= job.done <= fault.ended
    assert scenario.store is not None
    assert (scenario.store.expected, scenario.store.found) == (len(accepted), len(accepted))


@needs("partial_failures")
def test_videos_are_completed_without_the_rejected_scenes(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    (fault,) = faults(read_run(folder), "partial_failures")
    jobs = [job for job in read_jobs(folder) if job.scenario == "partial_failures"]
    assert (fault.seen, fault.hit) == (CALLS, 20)  # permanent errors: no retries
    lost = sum((job.scenes or 0) - (job.scenes_completed or 0) for job in jobs)
    assert (lost, {job.outcome for job in jobs}) == (20, {Outcome.COMPLETED})


@needs("job_cancellation")
def test_cancelled_jobs_leave_no_data(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    jobs = [job for job in read_jobs(folder) if job.scenario == "job_cancellation"]
    assert {job.outcome for job in jobs} <= {Outcome.CANCELLED, Outcome.COMPLETED}
    assert sum(job.outcome is Outcome.CANCELLED for job in jobs) >= 20
    assert {job.leftover for job in jobs} == {False}


@needs("data_integrity")
def test_every_file_matches_its_manifest(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    jobs = [job for job in read_jobs(folder) if job.scenario == "data_integrity"]
    assert {(job.integrity, job.files) for job in jobs} == {("ok", 11)}  # sound and picture of five scenes, the video
    assert len({job.job_id for job in jobs}) == len(jobs) == 30
    assert sum(fault.hit or 0 for fault in faults(read_run(folder), "data_integrity")) >= 10


@pytest.mark.extended
def test_without_retries_30_percent_of_the_calls_fail(prometheus: PrometheusBinary, tmp_path: Path) -> None:
    folder, done = alone(tmp_path, "tts_failures", SERVICE_RETRIES="false")
    record = read_run(folder)
    (fault,) = faults(record, "tts_failures")
    assert record.switches is not None
    assert (record.switches["retries"], fault.seen, fault.hit) == (False, CALLS, 30)
    jobs = read_jobs(folder)
    assert sum((job.scenes or 0) - (job.scenes_completed or 0) for job in jobs if job.scenes) == 30
    assert (done.returncode, done.stdout.splitlines()[-2][:6]) == (1, "FAIL: ")
    assert "0.0 % (95 % CI 0.0 to 11.6 %, 0 of 30)" in report(folder).replace("**", "")
    assert "Baseline: the service ran without retries." in report(folder)
    assert "all 30 provider calls that failed once stayed failed" in report(folder)


@pytest.mark.extended
def test_without_the_breaker_calls_reach_the_provider_during_the_outage(
    prometheus: PrometheusBinary, tmp_path: Path
) -> None:
    folder, _ = alone(tmp_path, "llm_outage", SERVICE_BREAKER="false")
    record = read_run(folder)
    assert record.transitions == []
    reached = [call for call in read_calls(folder) if call.provider == "llm" and call.outcome == "outage"]
    # With it, ten calls open it in each of two outages, and a probe or two follow.
    assert len(reached) == sum(fault.hit or 0 for fault in record.faults) > 40
    assert "Baseline: the service ran without breaker." in report(folder)
    section = report(folder).split("\n## Circuit breaker\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| llm_outage / n04 ")]
    # A call that arrived before the fault's beginning was confirmed is hit, but not within the recorded outage.
    assert [int(row[5]) for row in rows] == pytest.approx([fault.hit for fault in record.faults], abs=4)


@pytest.mark.extended
def test_a_killed_service_leaves_a_readable_run_and_a_correct_verdict(
    prometheus: PrometheusBinary, tmp_path: Path
) -> None:
    started = subprocess.Popen(
        command("run_suite.py", "--embedded", "--scenario", "llm_outage", "--no-charts", "--runs", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + DEADLINE
    while not any(path.read_bytes().count(b"\n") > 5 for path in tmp_path.glob("*/jobs.jsonl")):
        assert time.monotonic() < until, "no job ended"
        time.sleep(0.05)
    os.kill(service_of(tmp_path), signal.SIGKILL)
    printed, messages = started.communicate(timeout=DEADLINE)
    folder = only_run(tmp_path)
    record = read_run(folder)
    assert (started.returncode, record.state) == (3, RunState.COMPLETED), messages
    assert "warning: service ended with signal SIGKILL, its log is " in messages
    assert printed.splitlines()[-2].startswith("INCONCLUSIVE: ")
    jobs = read_jobs(folder)
    assert len(jobs) == record.scenarios[0].cases[0].planned
    assert Outcome.ERROR in {job.outcome for job in jobs}
    assert report(folder).startswith("# Reliability report of run ")
    assert all(fault.ended is not None for fault in record.faults)
    assert left_behind(tmp_path) == []


def service_of(folder: Path) -> int:
    """The process of the service whose data directory is below a folder."""
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            words = process.info["cmdline"] or []
            mine = "reelbench.service" in words and str(folder) in process.environ().get("SERVICE_DATA_DIR", "")
        except psutil.Error:
            continue
        if mine:
            return int(process.info["pid"])
    raise AssertionError("there is no service")
