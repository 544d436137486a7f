from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reelbench.loadgen.__main__ import app
from reelbench.loadgen.record.jobs import Outcome, read_jobs, read_requests
from reelbench.loadgen.record.run import RunState, read_run

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """URL of a fake target whose videos take 0.2 s."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.loadgen.fake_target", "0.2"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    yield child.stdout.readline().strip()
    child.kill()
    child.communicate()


def command(folder: Path, url: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "reelbench.loadgen", "run", "--run-dir", str(folder), "--run-id", "r1", "--target", url,
        "--scenario", "throughput", *more,
    ]  # fmt: skip


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=60, cwd=ROOT, env=CLEAN | environment, check=False
    )


def started(arguments: list[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a run and wait until jobs have ended."""
    child = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=CLEAN | environment
    )
    while not (folder / "jobs.jsonl").exists() or (folder / "jobs.jsonl").read_bytes().count(b"\n") < 10:
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    return child


@pytest.mark.extended
def test_a_run_writes_its_folder_and_only_traces_to_standard_output(target: str, tmp_path: Path) -> None:
    done = run(command(tmp_path / "run", target), OTEL_TRACES_EXPORTER="otlp_json_file")
    assert done.returncode == 0, done.stderr
    jobs, requests = read_jobs(tmp_path / "run"), list(read_requests(tmp_path / "run"))
    assert len(jobs) == 205
    spans = [
        span
        for line in done.stdout.splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    roots = [span for span in spans if span["name"] == "loadgen.job"]
    assert {span["traceId"] for span in roots} == {job.trace_id for job in jobs}
    assert len(spans) == 205 + sum(request.operation != "wait" for request in requests)
    assert read_run(tmp_path / "run").state is RunState.COMPLETED
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"throughput n50  205/205 jobs  P95 \d+\.\d\d s  [\d.]+ jobs/s  \(100% of the plan\)", line)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "conditions.json", "jobs.jsonl", "plan.jsonl", "requests.jsonl", "run.json", "videos.jsonl",
    ]  # fmt: skip


@pytest.mark.extended
def test_interrupt_once_stops_gracefully(target: str, tmp_path: Path) -> None:
    child = started(command(tmp_path / "run", target), tmp_path / "run")
    child.send_signal(signal.SIGINT)
    _, messages = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "no new jobs; waiting up to 30 s for those in flight (again: stop now)" in messages
    jobs = read_jobs(tmp_path / "run")
    assert {job.outcome for job in jobs} == {Outcome.COMPLETED}
    assert 10 <= len(jobs) < 205
    assert read_run(tmp_path / "run").state is RunState.INTERRUPTED


@pytest.mark.extended
def test_a_second_interrupt_stops_at_once_and_records_jobs_in_flight(target: str, tmp_path: Path) -> None:
    child = started(command(tmp_path / "run", target), tmp_path / "run", OTEL_TRACES_EXPORTER="otlp_json_file")
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    traces, messages = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "stopping now; jobs in flight are recorded as aborted" in messages
    jobs = read_jobs(tmp_path / "run")
    outcomes = [job.outcome for job in jobs]
    assert set(outcomes) == {Outcome.COMPLETED, Outcome.ABORTED}
    assert traces.count('"name":"loadgen.job"') == len(jobs)
    assert len({(job.case, job.index) for job in jobs}) == len(jobs)
    assert read_run(tmp_path / "run").state is RunState.INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_during_start_is_exit_130_without_a_traceback(
    target: str, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = command(tmp_path / "run", target)
    arguments[1:1] = ["-X", "importtime"]  # shows the progress of the start
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=CLEAN)
    assert child.stderr is not None
    assert any(line.split()[-1] == "asyncio" for line in child.stderr)
    child.send_signal(number)
    printed, messages = child.communicate(timeout=60)
    assert (child.returncode, printed) == (130, "")
    assert "Traceback" not in messages
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_a_killed_run_is_readable(target: str, tmp_path: Path) -> None:
    child = started(command(tmp_path / "run", target), tmp_path / "run")
    child.kill()
    child.communicate()
    jobs, requests = read_jobs(tmp_path / "run"), list(read_requests(tmp_path / "run"))
    assert len(jobs) >= 10
    assert {(job.case, job.index) for job in jobs} <= {(request.case, request.index) for request in requests}
    assert read_run(tmp_path / "run").state is RunState.RUNNING


def test_no_target_is_exit_4_and_nothing_is_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, command(tmp_path / "run", "http://127.0.0.1:9")[3:])
    assert done.exit_code == 4
    assert done.stderr == (
        "error: target http://127.0.0.1:9/v1/videos gives no HTTP answer (cannot connect: Connection refused); "
        "start the service or correct --target\n"
    )
    assert not (tmp_path / "run").exists()


def test_an_unusable_target_is_exit_4_and_nothing_is_written(tmp_path: Path) -> None:
    def answer(listener: socket.socket) -> None:
        listener.settimeout(15)
        for _ in range(2):  # the list, then a job that does not exist
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = threading.Thread(target=answer, args=(listener,))
        server.start()
        done = CliRunner().invoke(app, command(tmp_path / "run", url)[3:])
        server.join(20)
    assert done.exit_code == 4
    assert done.stderr == (
        f"error: target {url}/v1/videos does not speak the OpenAI Videos API: GET /v1/videos?limit=1 gave HTTP 200, "
        "but no VideoList object: no JSON: JSON is malformed: invalid character (byte 0); correct --target\n"
    )
    assert not (tmp_path / "run").exists()


def test_all_mistakes_of_a_command_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    options = {
        "--run-dir": tmp_path, "--run-id": "a b", "--target": "nowhere", "--scenario": "thruput", "--profile": "huge",
        "--seed": -1, "--document": tmp_path,
    }  # fmt: skip
    done = CliRunner().invoke(app, ["run", *(str(part) for pair in options.items() for part in pair)])
    assert done.exit_code == 2
    assert [line.split(" ")[1] for line in done.stderr.splitlines()] == [
        "--scenario:", "--profile:", "--run-id:", "--seed:", "--target:", "--run-dir:", "--document:",
    ]  # fmt: skip
    assert done.stdout == ""
    assert os.listdir(tmp_path) == ["run.json"]  # noqa: PTH208 - names are all that counts here


@pytest.mark.extended
def test_an_occupied_metrics_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(
            command(tmp_path / "run", "http://127.0.0.1:9"),
            OTEL_METRICS_EXPORTER="prometheus",
            OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
            OTEL_EXPORTER_PROMETHEUS_PORT=port,
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: cannot serve metrics on 127.0.0.1:{port} (Address already in use); "
        "set OTEL_EXPORTER_PROMETHEUS_PORT to a free port\n"
    )


@pytest.mark.extended
def test_metrics_are_served_after_the_run_until_sigterm(target: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    child = started(
        command(tmp_path / "run", target),
        tmp_path / "run",
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
        OTEL_EXPORTER_PROMETHEUS_PORT=str(port),
    )
    while read_run(tmp_path / "run").state is not RunState.COMPLETED:
        assert child.poll() is None
        time.sleep(0.02)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        page = response.read().decode()
    assert child.poll() is None
    child.terminate()
    _, messages = child.communicate(timeout=60)
    assert (child.returncode, "warning" in messages) == (0, False)
    samples = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    (jobs,) = [float(value) for name, value in samples.items() if name.startswith("loadgen_jobs_total{")]
    assert jobs == 200
    (total,) = [float(v) for name, v in samples.items() if name.startswith("loadgen_job_duration_seconds_sum{")]
    measured = [job.done - job.due for job in read_jobs(tmp_path / "run") if not job.warmup]
    assert total == pytest.approx(sum(measured), rel=1e-9)
    assert any(name.startswith("process_memory_usage_bytes") for name in samples)
    assert any(name.startswith("process_cpu_time_seconds_total") for name in samples)
