"""The users' commands on the real embedded stack."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reelbench.loadgen.record.jobs import Outcome, read_jobs, read_requests
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.reporting.evidence import measurements
from reelbench.reporting.statistics import intervals
from reelbench.stack.prometheus import PrometheusBinary
from tests.acceptance import SuiteRun, names, needs
from tests.commands import DEADLINE, command, invoke, left_behind, only_run, run

OURS = needs("single_request", "api_latency")


def digests(folder: Path) -> dict[str, str]:
    files = [folder / "measurements.json", *sorted((folder / "reports").rglob("*.*"))]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def finished(suite: SuiteRun) -> tuple[Path, str]:
    """The run of the acceptance suite and its output."""
    assert left_behind(suite.folder.parent) == []
    return suite.folder, suite.printed


@pytest.mark.acceptance
@OURS
def test_a_suite_prints_its_verdicts_and_the_path_of_its_report(suite: SuiteRun, finished: tuple[Path, str]) -> None:
    folder, printed = finished
    lines = printed.splitlines()
    (line,) = [line for line in lines if line.startswith("performance: PASS (")]
    verdicts = [v for v in suite.exported.verdicts if v.sli.of("performance") and v.scenario in names("performance")]
    counts = Counter(v.certainty.value for v in verdicts if v.certainty is not None)
    said = re.findall(r"([a-z]+, (?:not )?proven): (\d+)", line)
    assert {words: int(count) for words, count in said} == counts
    assert len(lines) <= 31
    assert lines[-1] == str(folder / "reports" / "summary.md")


@pytest.mark.acceptance
@OURS
def test_client_store_prometheus_and_traces_count_the_same_jobs(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    jobs = [job for job in read_jobs(folder) if not job.warmup and job.scenario in {"single_request", "api_latency"}]
    assert Counter((job.scenario, job.outcome) for job in jobs) == {
        ("single_request", Outcome.COMPLETED): 20,
        ("api_latency", Outcome.COMPLETED): 20,
    }
    kept = measurements.read(folder)
    assert kept is not None
    counted = {
        (m.sli, m.scenario, m.member): m.value
        for m in kept.measurements
        if m.sli in {"client_jobs", "service_jobs"} and m.value is not None
        if m.scenario in {"single_request", "api_latency"}
    }
    assert counted == {
        (sli, scenario, "completed"): 20.0
        for sli in ("client_jobs", "service_jobs")
        for scenario in ("single_request", "api_latency")
    }
    stores = {s.name: s.store for s in read_run(folder).scenarios if s.store is not None}
    assert {name: (stores[name].expected, stores[name].found) for name in ("single_request", "api_latency")} == {
        "single_request": (21, 21),  # with the warm-up
        "api_latency": (0, 0),  # each job was deleted by its last step
    }
    spans = [
        json.loads(line)
        for name in ("loadgen", "service", "providers")
        for line in (folder / "traces" / f"{name}.jsonl").read_text().splitlines()
    ]
    by_trace: dict[str, Counter[str]] = {}
    for batch in spans:
        for resource in batch["resourceSpans"]:
            (service,) = [
                attribute["value"]["stringValue"]
                for attribute in resource["resource"]["attributes"]
                if attribute["key"] == "service.name"
            ]
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    by_trace.setdefault(span["traceId"], Counter())[f"{service} {span['name']}"] += 1
    for job in jobs:
        names = by_trace[job.trace_id]
        assert (names["loadgen loadgen.job"], names["service video.job"]) == (1, 1)
        assert sum(count for name, count in names.items() if name.startswith("providers POST")) == 11


@pytest.mark.acceptance
@OURS
def test_promql_percentiles_are_within_5_percent_of_exact(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    kept = measurements.read(folder)
    assert kept is not None
    compared = 0
    for scenario in ("single_request", "api_latency"):
        exact = sorted(j.done - j.due for j in read_jobs(folder) if j.scenario == scenario and not j.warmup)
        for m in kept.measurements:
            if m.scenario == scenario and m.sli in {"response_time_p95", "response_time_p99"}:
                q = 0.95 if m.sli.endswith("95") else 0.99
                assert m.value == pytest.approx(intervals.percentile(exact, q).value, rel=0.05)
                compared += 1
    assert compared == 4


@pytest.mark.acceptance
@OURS
def test_every_request_of_every_job_is_recorded(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    requests = Counter((r.scenario, r.operation) for r in read_requests(folder) if not r.warmup)
    assert {requests["single_request", name] for name in ("create", "wait", "content")} == {20}
    tour = ("create", "retrieve", "list", "wait", "manifest", "content", "delete")
    assert {requests["api_latency", name] for name in tour} == {20}
    assert {job.integrity for job in read_jobs(folder) if job.scenario == "api_latency"} == {"ok"}


@pytest.mark.acceptance
@pytest.mark.extended
@OURS
def test_the_report_of_the_same_run_has_the_same_bytes(suite: SuiteRun) -> None:
    folder = suite.folder
    before = digests(folder)
    done = invoke("export_reports.py", str(folder))
    assert (done.returncode, done.stdout) == (suite.code, suite.printed)
    assert digests(folder) == before
    assert {"measurements.json", "reports/performance_report.md"} < set(before)


@pytest.mark.acceptance
@pytest.mark.extended
def test_an_interrupted_run_is_saved_and_reported(prometheus: PrometheusBinary, tmp_path: Path) -> None:
    suite = subprocess.Popen(
        command("run_suite.py", "--scenario", "concurrent_load", "--no-charts", "--runs", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + DEADLINE
    while not any(path.stat().st_size for path in tmp_path.glob("*/jobs.jsonl")):
        assert time.monotonic() < until, "no job ended"
        time.sleep(0.05)
    suite.send_signal(signal.SIGINT)
    printed, messages = suite.communicate(timeout=DEADLINE)
    assert suite.returncode == 130, messages
    folder = only_run(tmp_path)
    assert read_run(folder).state is RunState.INTERRUPTED
    assert {job.outcome for job in read_jobs(folder)} == {Outcome.COMPLETED}
    assert printed.splitlines()[-1] == str(folder / "reports" / "summary.md")
    assert left_behind(tmp_path) == []


def test_an_unreachable_target_is_one_sentence(tmp_path: Path) -> None:
    done = invoke("run_suite.py", "--target", "http://127.0.0.1:1", "--runs", str(tmp_path / "runs"))
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "error: target http://127.0.0.1:1/v1/videos gives no HTTP answer (cannot connect: Connection refused); "
        "start the service or correct --target\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_target_with_invalid_answers_is_one_sentence(tmp_path: Path) -> None:
    class Rubbish(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Rubbish)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        done = invoke("run_suite.py", "--target", url, "--runs", str(tmp_path / "runs"))
    finally:
        server.shutdown()
        server.server_close()
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert f"target {url}/v1/videos does not speak the OpenAI Videos API" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_all_mistakes_in_the_options_are_reported_at_once(tmp_path: Path) -> None:
    document = tmp_path / "missing.pdf"
    done = invoke("run_suite.py", "--scenario", "nope", "--profile", "big", "--seed", "-1", "--document", str(document))
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [
        " --scenario", " --profile", " --seed", " --document",
    ]  # fmt: skip


def test_a_number_of_repetitions_out_of_range_is_one_sentence(tmp_path: Path) -> None:
    for number in (0, -1, 1001):
        done = invoke("run_suite.py", "--embedded", "--repeat", str(number), "--runs", str(tmp_path / "runs"))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: --repeat: is {number}; use 1 to 1000\n"


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr("reelbench.suite.commands.run.measure", full)
    done = invoke("run_suite.py", "--embedded", "--runs", str(tmp_path / "runs"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "using the embedded stack\n"
        "error: cannot write report.html (No space left on device); make room, or choose another --runs\n"
    )


def test_paths_and_addresses_are_checked_with_the_other_options(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    addresses = {"SERVICE_URL": "foo", "PROMETHEUS_URL": "http://127.0.0.1:1", "TEMPO_URL": "127.0.0.1:3200"}
    cure = "is not a base URL; write it like http://127.0.0.1:8000, or unset it"
    for runs in (file, file / "below"):
        done = invoke("run_suite.py", "--seed", "-1", "--runs", str(runs), **addresses)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines() == [
            "error: --seed: is -1; use 0 or more",
            f"error: --runs: {file} is a file; choose a folder",
            f"error: SERVICE_URL: 'foo' {cure}",
            f"error: TEMPO_URL: '127.0.0.1:3200' {cure}",
        ]
    assert file.read_text() == "no folder"


def test_a_folder_whose_path_is_not_utf8_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    done = invoke("run_suite.py", "--runs", os.fsdecode(os.fsencode(tmp_path) + b"/r\xff"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --runs: the path {tmp_path}/r\\xff is not UTF-8; choose a folder whose path is\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["10s", "0", "-1", "\u0661"])
def test_an_interval_that_is_no_number_of_seconds_is_bad_configuration(value: str, tmp_path: Path) -> None:
    done = invoke("run_suite.py", "--scenario", "single_request", "--runs", str(tmp_path / "runs"), INTERVAL=value)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: INTERVAL is {value!r}; write whole seconds, such as INTERVAL=10." in done.stderr.splitlines()
    assert not (tmp_path / "runs").exists()


@pytest.mark.extended
@pytest.mark.acceptance
@pytest.mark.usefixtures("prometheus")
def test_only_the_log_named_in_the_message_is_kept(tmp_path: Path) -> None:
    done = run("run_suite.py", "--embedded", "--runs", str(tmp_path), SERVICE_RETRIES="maybe")
    assert (done.returncode, done.stdout) == (4, "")
    folder = only_run(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["logs"]
    log = folder / "logs" / "service.log"
    assert f"its log {log} ends with:" in done.stderr
    assert "SERVICE_RETRIES" in log.read_text()
    assert left_behind(tmp_path) == []


def test_a_run_directory_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for content, complaint in (
        (None, "is not a run directory"),
        (b'{"schema_version": 1, "run_id"', "is damaged or cut off"),
        (b'{"schema_version": 99}', "has schema version 99, this Reelbench reads version 1"),
    ):
        if content is not None:
            (tmp_path / "run.json").write_bytes(content)
        done = invoke("export_reports.py", str(tmp_path), "--kept")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert complaint in done.stderr
        assert not (tmp_path / "reports").exists()
