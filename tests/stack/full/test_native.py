"""A short suite on the compose stack run natively, then the values of its signals."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome, RequestRecord, read_jobs
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.reporting.evidence.file_traces import FileTraces
from reelbench.reporting.evidence.tempo import connect
from reelbench.reporting.evidence.traces import TraceSource
from reelbench.stack import http
from reelbench.stack.processes import Child
from tests.stack.full.finished import Run, measure
from tests.stack.full.native import ROOT, NativeStack, clean

pytestmark = pytest.mark.acceptance
SCENES = 5


@pytest.fixture(scope="module")
def run(stack: NativeStack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return measure(stack, tmp_path_factory.mktemp("runs"), "single_request", "throughput")


def test_run_suite_uses_the_running_stack(run: Run) -> None:
    assert f"using the stack that runs at {run.stack.url('service:8000')}" in run.output
    assert "warning" not in run.output
    assert run.record.state is RunState.COMPLETED
    assert (run.settled.kind, run.settled.settled) == ("external", True)
    assert {job.outcome for job in run.jobs} == {Outcome.COMPLETED}
    report = (run.folder / "reports" / "appendix.md").read_text()
    assert "DIFFERS" not in report
    assert report.count("| agrees") >= 8


TABLE: tuple[tuple[str, str, Callable[[list[JobRecord], list[RequestRecord]], float]], ...] = (
    # metric, PromQL around it (measured jobs only: a warm-up job has no run_id), and the value in the client's log
    ("loadgen_jobs_total", "sum({})", lambda jobs, _: len(jobs)),
    ("loadgen_job_duration_seconds", "histogram_count(sum({}))", lambda jobs, _: len(jobs)),
    ("loadgen_job_duration_seconds", "histogram_sum(sum({}))", lambda jobs, _: sum(j.done - j.due for j in jobs)),
    ("loadgen_job_lateness_seconds", "histogram_sum(sum({}))", lambda jobs, _: sum(j.sent - j.due for j in jobs)),
    ("loadgen_request_duration_seconds", "histogram_count(sum({}))", lambda _, requests: len(requests)),
    (
        "loadgen_request_duration_seconds",
        "histogram_sum(sum({}))",
        lambda _, requests: sum(request.duration for request in requests),
    ),
    ("video_jobs_accepted_total", "sum({})", lambda jobs, _: len(jobs)),
    ("video_jobs_total", "sum({})", lambda jobs, _: len(jobs)),
    ("video_job_duration_seconds", "histogram_count(sum({}))", lambda jobs, _: len(jobs)),
    ("video_job_queue_duration_seconds", "histogram_count(sum({}))", lambda jobs, _: len(jobs)),
    (
        "video_job_stage_duration_seconds",
        "histogram_count(sum({}))",
        lambda jobs, _: (3 + 2 * SCENES) * len(jobs),
    ),
)


def test_totals_equal_the_client_log(run: Run, subtests: pytest.Subtests) -> None:
    for metric, around, logged in TABLE:
        with subtests.test(around.format(metric)):
            found = run.stack.value(around.format(run.ours(metric)), run.at)
            assert found == pytest.approx(logged(run.jobs, run.requests), rel=1e-9)


def test_process_wide_signals_have_their_names_and_totals(run: Run) -> None:
    """Signals without a run_id count all jobs since the start of the service: here, this run with its warm-up."""
    value, jobs, at = run.stack.value, len(run.all_jobs), run.at
    served = 'histogram_count(sum(last_over_time(http_server_request_duration_seconds{job="service",%s}[10m])))'
    created = 'http_request_method="POST",http_route="/v1/videos",http_response_status_code="200"'
    assert value(served % created, at) == jobs
    calls = "histogram_count(sum(last_over_time(gen_ai_client_operation_duration_seconds{%s}[10m])))"
    assert value(calls % 'gen_ai_provider_name="llm"', at) == jobs
    answered = value('sum(last_over_time(provider_requests_total{provider="llm",outcome="ok"}[10m]))', at)
    assert answered == jobs
    assert value(calls % 'gen_ai_provider_name="tts"', at) == value(
        'sum(last_over_time(provider_requests_total{provider="tts"}[10m]))', at
    )
    tokens = 'histogram_sum(sum(last_over_time(gen_ai_client_token_usage{gen_ai_token_type="%s",%s}[10m])))'
    provided = 'sum(last_over_time(provider_tokens_total{provider="llm",type="%s"}[10m]))'
    for kind in ("input", "output"):
        assert value(tokens % (kind, 'gen_ai_provider_name="llm"'), at) == value(provided % kind, at)
    assert (value("sum(last_over_time(provider_response_bytes_total[10m]))", at) or 0) > 1000 * jobs
    assert (value("histogram_count(sum(last_over_time(db_client_operation_duration_seconds[10m])))", at) or 0) > jobs
    assert value("sum(last_over_time(video_jobs_active[10m]))", at) == 0
    assert value("sum(last_over_time(loadgen_jobs_in_flight[10m]))", at) == 0
    for job in ("service", "providers", "loadgen"):
        assert (value(f'last_over_time(process_memory_usage_bytes{{job="{job}"}}[10m])', at) or 0) > 1e7
        (info,) = run.stack.query(f'last_over_time(target_info{{job="{job}"}}[10m])', at)
        assert info["metric"]["instance"] == info["metric"]["service_instance_id"]
        assert info["metric"]["deployment_environment_name"] == "compose"


def test_p95_and_p99_of_native_histograms_are_within_one_percent(run: Run) -> None:
    for scenario, case in (("single_request", "n01"), ("throughput", "n50")):
        times = [j.done - j.due for j in run.jobs if (j.scenario, j.case) == (scenario, case)]
        for name, quantile in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            exact = float(np.quantile(times, quantile, method="inverted_cdf"))
            found = run.measured(f"response_time_{name}", scenario, case)
            assert found is not None
            print(  # noqa: T201 - the measured error, with -s
                f"{scenario} {name}: exact {exact:.4f} s, PromQL {found:.4f} s, {found / exact - 1:+.2%}"
            )
            assert found == pytest.approx(exact, rel=0.01), (scenario, name)
        assert run.measured("response_time_avg", scenario, case) == pytest.approx(np.mean(times), rel=1e-9)


def test_every_span_passed_the_collector(run: Run) -> None:
    """The Collector counts forwarded spans: one root span and 13 stage spans per job."""
    calls = 'sum(last_over_time(traces_span_metrics_calls_total{job="%s",span_name="%s"}[10m]))'
    run.stack.await_value(calls % ("loadgen", "loadgen.job"), len(run.all_jobs))
    run.stack.await_value(calls % ("service", "video.job"), len(run.all_jobs))
    count = 'histogram_count(sum(last_over_time(traces_span_metrics_duration_seconds{span_name="video.job"}[10m])))'
    assert run.stack.value(count) == len(run.all_jobs)


def test_exemplars_link_to_traces_of_all_services(run: Run) -> None:
    query = {
        "query": f'loadgen_job_duration_seconds{{run_id="{run.record.run_id}"}}',
        "start": run.record.started,
        "end": time.time(),
    }
    answer = http.get(f"{run.stack.prometheus_url}/api/v1/query_exemplars?{urlencode(query)}", timeout=10)
    series = json.loads(answer.body)["data"]
    by_trace = {job.trace_id: job.done - job.due for job in run.jobs}
    exemplars = [exemplar for one in series for exemplar in one["exemplars"]]
    assert len(exemplars) >= 20
    for exemplar in exemplars:
        assert float(exemplar["value"]) == pytest.approx(by_trace[exemplar["labels"]["trace_id"]], rel=1e-9)
    if run.stack.tempo is None:
        assert FileTraces(run.folder / "traces").trace(exemplars[0]["labels"]["trace_id"])
        return
    with_all: TraceSource = connect(run.stack.tempo_url, run.record)
    for exemplar in exemplars[::20]:
        spans = with_all.trace(exemplar["labels"]["trace_id"])
        assert {span.service for span in spans} == {"loadgen", "service", "providers"}
        known = {span.span_id for span in spans}
        assert [span.name for span in spans if span.parent_id not in known] == ["loadgen.job"]


def test_traceql_metrics_count_the_jobs(run: Run) -> None:
    if run.stack.tempo is None:
        pytest.skip("TEMPO_BIN names no Tempo")
    query = f'{{span.run_id="{run.record.run_id}" && name="video.job"}} | count_over_time() by (span.scenario)'
    found = {
        dict(series.labels)["span.scenario"]: series.value
        for series in connect(run.stack.tempo_url, run.record).metrics(query)
    }
    assert found == Counter(job.scenario for job in run.jobs)


def test_the_stack_scrapes_its_own_components(run: Run) -> None:
    watched = ["prometheus", "otel-collector", *(["tempo"] if run.stack.tempo else [])]
    for job in watched:
        run.stack.await_value(f'up{{job="{job}"}}', 1)
    assert (run.stack.value('otelcol_receiver_accepted_spans{job="otel-collector"}') or 0) > len(run.all_jobs)
    assert run.stack.value('sum(otelcol_exporter_send_failed_metric_points{job="otel-collector"}) or vector(0)') == 0
    if run.stack.tempo:
        run.stack.await_value(
            'count(count by (client, server) (traces_service_graph_request_total{client="loadgen",server="service"}))',
            1,
        )


def test_the_rules_record_what_the_report_says(run: Run) -> None:
    """Objectives of native histograms, evaluated by the stack during the run."""
    answer = http.get(f"{run.stack.prometheus_url}/api/v1/rules", timeout=10)
    groups = json.loads(answer.body)["data"]["groups"]
    assert sorted(group["name"] for group in groups) == ["burn_rates", "objectives", "stack"]
    assert [rule for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
    place = f'{{run_id="{run.record.run_id}",scenario="throughput",case="n50"}}'
    run.stack.await_value(f"case:success_rate:total{place}", 1)
    run.stack.await_value(f"case:success_n:total{place}", sum(1 for job in run.jobs if job.case == "n50"))
    place = f'{{run_id="{run.record.run_id}",scenario="single_request"}}'
    found = run.stack.value(f"case:response_time_p95:total{place}")
    assert found == pytest.approx(run.measured("response_time_p95", "single_request", "n01"), rel=1e-9)


def loaded(stack: NativeStack, folder: Path, *more: str, name: str = "loadgen") -> Child:
    """Start a load generator like its container, with the scenario `single_request` (21 jobs, about 9 s)."""
    environment = stack.environment_of("loadgen")
    command = [
        sys.executable,
        "-m",
        "reelbench.loadgen",
        "run",
        "--run-dir",
        str(folder),
        "--target",
        stack.url("service:8000"),
    ]
    tee = {} if stack.tempo else {"OTEL_TRACES_EXPORTER": "otlp,otlp_json_file"}
    return stack.processes.start(
        name,
        [*command, *more],
        environment=clean() | environment | tee,
        directory=ROOT,
        stdout=folder.parent / f"{folder.name}.{name}.out",
        log=folder.parent / f"{folder.name}.{name}.log",
    )


@pytest.mark.parametrize("name", ["otel-collector", "prometheus", "tempo"])
def test_a_10_second_outage_of_a_component_loses_no_count(stack: NativeStack, tmp_path: Path, name: str) -> None:
    if name == "tempo" and stack.tempo is None:
        pytest.skip("TEMPO_BIN names no Tempo")
    folder, run_id = tmp_path / "run", f"fault-{name}"
    names = ("--scenario", "single_request", "--profile", "standard")
    child = loaded(stack, folder, "--run-id", run_id, *names)
    try:
        deadline = time.monotonic() + 20
        while not (folder / "jobs.jsonl").exists() or len(read_jobs(folder)) < 4:
            assert time.monotonic() < deadline
            child.check()
            time.sleep(0.05)
        before = len(read_jobs(folder))
        stack.stop(name)
        time.sleep(10)
        during = len(read_jobs(folder))
        assert child.process.poll() is None, "the load ended before the part came back"
        stack.start(name)
        stack.wait(name)
        assert child.wait(30) == 0, child.tail()
    finally:
        if child.process.poll() is None:
            stack.processes.end(child)
    jobs = [job for job in read_jobs(folder) if not job.warmup]
    assert during - before >= 4, "the load stood still while a part was gone"
    assert Counter(job.outcome for job in jobs) == {Outcome.COMPLETED: 50}
    assert max(job.done - job.due for job in jobs) < 2
    for metric in ("loadgen_jobs_total", "video_jobs_total"):
        stack.await_value(f'sum(last_over_time({metric}{{run_id="{run_id}"}}[10m]))', 50, deadline=30)
    stack.await_value(
        f'histogram_count(sum(last_over_time(loadgen_job_duration_seconds{{run_id="{run_id}"}}[10m])))', 50
    )
    if stack.tempo:
        found = connect(stack.tempo_url, read_run(folder)).settle(len(read_jobs(folder)), deadline=20)
        print(f"{name} gone for 10 s: {found} of {len(read_jobs(folder))} root spans in Tempo")  # noqa: T201 - the measured loss, with -s
        assert found >= 40


def test_replicas_share_a_plan_and_their_metrics_add_up(stack: NativeStack, tmp_path: Path) -> None:
    rendezvous = f"redis://{stack.addresses['valkey:6379']}/0"
    more = ["--rendezvous", rendezvous, "--scenario", "api_latency", "--scenario", "single_request"]
    children = [loaded(stack, tmp_path / "runs", *more, name=f"loadgen{number}") for number in (1, 2)]
    for child in children:
        assert child.wait(60) == 0, child.tail()
    first, second = (read_run(folder) for folder in sorted((tmp_path / "runs").iterdir()))
    assert (first.run_id, first.plan_hash) == (second.run_id, second.plan_hash)
    assert [(run.replica, run.replicas) for run in (first, second)] == [(1, 2), (2, 2)]
    jobs = [job for folder in (tmp_path / "runs").iterdir() for job in read_jobs(folder)]
    keys = [(job.scenario, job.case, job.index) for job in jobs]
    assert len(keys) == len(set(keys)) == 22 + 21
    by_replica = Counter(
        (job.scenario, folder.name[-4:]) for folder in (tmp_path / "runs").iterdir() for job in read_jobs(folder)
    )
    assert by_replica == {("api_latency", "1of2"): 11, ("api_latency", "2of2"): 11, ("single_request", "1of2"): 21}
    # No replica starts early: single_request, run by one replica, begins when both have ended the previous case.
    assert max(j.done for j in jobs if j.scenario == "api_latency") < min(
        j.due for j in jobs if j.scenario == "single_request"
    )
    for metric in ("loadgen_jobs_total", "video_jobs_total"):
        stack.await_value(f'sum(last_over_time({metric}{{run_id="{first.run_id}"}}[10m]))', 40)
    pushed = f'count(count by (instance) (last_over_time(loadgen_jobs_total{{run_id="{first.run_id}"}}[10m])))'
    assert stack.value(pushed) == 2


def test_the_acceptance_suite_can_measure_the_running_stack(stack: NativeStack) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--external",
            "-q",
            "-s",
            "tests/test_reliability.py",
            "-k",
            "normal_operation",
        ],
        cwd=ROOT,
        env=stack.runner_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"using the stack that runs at {stack.url('service:8000')}" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("3 passed, ")
