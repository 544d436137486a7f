"""The stack of docker compose on a real engine: started, measured, broken, scaled, restarted and taken down.

`make test-compose` runs these tests; they skip where no engine answers.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import RUN_FILE
from reelbench.reporting.statistics.steady_part import NoSteadyPart, steady_part
from tests.commands import stack_of
from tests.compose.engine import ONE_SHOTS, PARTS, Project

pytestmark = [pytest.mark.compose, pytest.mark.acceptance]
AGREES = {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE}
"""Exit codes of a run that was made: a busy machine may miss an objective."""


def test_everything_is_healthy_after_the_command_of_the_readme(project: Project) -> None:
    expected = dict.fromkeys(PARTS, "healthy") | dict.fromkeys(ONE_SHOTS, "exit 0") | {"otel-collector": "running"}
    assert project.states() == expected


def test_every_volume_has_a_name(project: Project) -> None:
    volumes = {m["Name"] for one in project.containers() for m in one["Mounts"] if m["Type"] == "volume"}
    assert all(name.startswith(f"{project.name}_") for name in volumes), volumes


def test_the_suite_measures_the_stack_and_every_count_agrees(project: Project, tmp_path: Path) -> None:
    chosen = [word for name in ("single_request", "single_job", "tts_failures") for word in ("--scenario", name)]
    done = project.suite(tmp_path, *chosen)
    assert done.returncode in AGREES, done.stderr
    (folder,) = tmp_path.iterdir()
    assert f"using the stack that runs at {project.url('service')}" in done.stderr
    assert "external stack ready" in done.stderr
    assert "warning: no metrics" not in done.stderr
    jobs = [job for job in read_jobs(folder) if not job.warmup]
    assert len(jobs) > 30
    assert {job.outcome for job in jobs if job.scenario != "tts_failures"} == {Outcome.COMPLETED}
    for metric in ("loadgen_jobs_total", "video_jobs_accepted_total"):
        assert project.value(f'sum(last_over_time({metric}{{run_id="{folder.name}"}}[10m]))') == len(jobs)
    reports = {path.stem: path.read_text() for path in (folder / "reports").glob("*_report.md")}
    assert set(reports) == {"performance_report", "reliability_report", "resources_report"}
    appendix = (folder / "reports" / "appendix.md").read_text()
    assert f"external stack, already running at {project.url('service')}" in appendix
    assert "DIFFERS" not in appendix
    assert "| agrees" in appendix
    assert not re.findall(r"NO DATA.*single_job", reports["resources_report"])


@pytest.mark.parametrize(
    ("part", "shown", "setting"),
    [("service", "the service", "SERVICE_PORT"), ("prometheus", "Prometheus", "PROMETHEUS_PORT")],
)
def test_a_broken_stack_is_named_and_never_replaced(
    project: Project, tmp_path: Path, part: str, shown: str, setting: str
) -> None:
    project.compose("stop", part)
    try:
        done = project.suite(tmp_path, "--scenario", "single_request")
    finally:
        project.compose("up", "-d", "--wait")
    assert done.returncode == ExitCode.ABSENT
    problem = f"{shown} at {project.url(part)} ({setting} in .env) does not answer (Connection refused)"
    assert problem in done.stderr
    assert "--embedded" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_store_that_refuses_is_named_with_its_own_reason(project: Project, tmp_path: Path) -> None:
    project.compose("exec", "valkey", "valkey-cli", "config", "set", "requirepass", "x")
    project.compose("exec", "valkey", "valkey-cli", "-a", "x", "client", "kill", "type", "normal", check=False)
    try:
        done = project.suite(tmp_path, "--scenario", "single_request")
    finally:
        project.compose("restart", "valkey")
        project.compose("up", "-d", "--wait")
    assert done.returncode == ExitCode.ABSENT, done.stderr
    assert "the service at" in done.stderr
    assert "already authenticated" in done.stderr  # the reply of Valkey


def test_three_generators_make_one_run_with_its_report_and_verdict(project: Project, tmp_path: Path) -> None:
    project.compose("up", "-d", "--no-recreate", "--scale", "loadgen=3", "loadgen")
    try:
        merged = project.compose("run", "--rm", "report", timeout=1800, check=False)  # waits for the shares
        found = generators(project)
        project.compose("cp", "loadgen:/data/.", str(tmp_path))
    finally:
        project.compose("up", "-d", "--wait")  # removes them: their number in the file is 0
    assert generators(project) == []
    assert len(found) == 3
    assert {one["State"]["ExitCode"] for one in found} == {0}, merged.stderr
    assert merged.returncode in AGREES, merged.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    results = json.loads((folder / "reports" / "results.json").read_text())
    assert results["exit_code"] == merged.returncode
    assert f"merged 3 shares of run {folder.name}" in merged.stdout + merged.stderr
    assert_merged(tmp_path, folder, results)
    # Three label sets of one run: each generator sent its share.
    runs = f'count(count by (instance) (last_over_time(loadgen_jobs_total{{run_id="{folder.name}"}}[10m])))'
    assert project.value(runs) == 3


def assert_merged(shares: Path, folder: Path, results: dict[str, Any]) -> None:
    """Check the run of all shares by their own records: jobs, percentiles, and the counts of every source."""
    parts = [read_jobs(one.parent) for one in shares.glob(f"*/{RUN_FILE}")]
    assert len(parts) == 3
    everything = [job for jobs in parts for job in jobs]
    assert all(sum(not job.warmup for job in jobs) > 10 for jobs in parts)
    assert sorted(read_jobs(folder), key=place_of) == sorted(everything, key=place_of)
    assert len({place_of(job) for job in everything}) == len(everything)
    planned = sum(case.planned for spec in read_run(folder).scenarios for case in spec.cases)
    assert planned == sum(not job.warmup for job in everything)
    users = {
        (spec.name, case.name): case.concurrency for spec in read_run(folder).scenarios for case in spec.cases
    }  # of all generators: the shares sum up to them
    compared = 0
    for number in results["numbers"]:
        if (number["sli"], number["source"], number["scenario"]) != ("response_time_p95", "records", "concurrent_load"):
            continue
        place = number["scenario"], number["case"]
        measured = [job for job in everything if (job.scenario, job.case) == place and not job.warmup]
        part = steady_part([(job.due, job.done) for job in measured], users[place])
        times = sorted(
            job.done - job.due
            for job in measured
            if job.outcome is Outcome.COMPLETED and (isinstance(part, NoSteadyPart) or part.holds(job.done))
        )
        assert number["value"] == pytest.approx(times[math.ceil(0.95 * len(times)) - 1], abs=1e-9)
        compared += 1
    assert compared >= 4
    counts = results["reconciliation"]
    assert {one["source"].split(",")[0] for one in counts} >= {"store", "Prometheus", "traces"}
    differing = [one for one in counts if not one["agrees"]]
    if differing:  # on a very busy machine spans are late for the report: then the run says so
        assert {one["source"] for one in differing} == {"traces, root spans"}, differing
        assert results["verdict"] == "INCONCLUSIVE"


def place_of(job: JobRecord) -> tuple[str, str, int]:
    return job.scenario, job.case, job.index


def generators(project: Project) -> list[dict[str, Any]]:
    name = "com.docker.compose.service"
    return [one for one in project.containers() if one["Config"]["Labels"][name] == "loadgen"]


@pytest.mark.parametrize("part", ["otel-collector", "prometheus", "valkey", "tempo"])
def test_a_restart_during_a_run_loses_nothing_or_is_reported(project: Project, tmp_path: Path, part: str) -> None:
    running = subprocess.Popen(
        project.suite_command(tmp_path, "--scenario", "concurrent_load"),
        env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    end = time.monotonic() + 120
    while not (begun := list(tmp_path.glob(f"*/{RUN_FILE}"))) and running.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert begun, running.communicate()
    time.sleep(2)
    project.compose("restart", part)
    output, _ = running.communicate(timeout=600)
    assert running.returncode in AGREES, output
    folder = begun[0].parent
    jobs = [job for job in read_jobs(folder) if not job.warmup]
    assert len(jobs) == sum(case.planned for spec in read_run(folder).scenarios for case in spec.cases)
    broken = [job for job in jobs if job.outcome is not Outcome.COMPLETED]
    # A store that is away, or late on a very busy machine, longer than the service waits: the client reads why.
    assert all("The job store" in (job.error or "") for job in broken), broken
    assert stack_of(folder).settled
    report = (folder / "reports" / "performance_report.md").read_text()
    if differing := [line for line in report.splitlines() if "**DIFFERS**" in line]:
        # Spans that wait for a part can be late for the report, or lost with it: then the run says so.
        assert all("traces, root spans" in line for line in differing), differing
        assert "**Verdict: INCONCLUSIVE**" in report
    assert project.value(f'sum(last_over_time(loadgen_jobs_total{{run_id="{folder.name}"}}[10m]))') == len(jobs)


def test_every_part_ends_in_time_when_it_is_stopped_and_tempo_keeps_its_traces(project: Project) -> None:
    kept = project.traces()
    assert kept
    started = time.monotonic()
    project.compose("stop", "tempo", "otel-collector", "prometheus")
    assert time.monotonic() - started < 30
    states = project.states()
    project.compose("up", "-d", "--wait")
    assert {states[name] for name in ("otel-collector", "prometheus")} == {"exit 0"}
    assert states["tempo"] in {"exit 0", "exit 137"}  # within 30 s of a query it does not end until it is killed
    for _ in range(60):  # what it wrote at its end is found once its list of blocks was read again
        if kept <= project.traces():
            break
        time.sleep(1)
    assert kept <= project.traces()


def test_a_container_cannot_exceed_its_memory_not_even_by_swap(project: Project) -> None:
    limits = {one["Config"]["Labels"]["com.docker.compose.service"]: one["HostConfig"] for one in project.containers()}
    assert all(limit["Memory"] > 0 and limit["MemorySwap"] == limit["Memory"] for limit in limits.values())
    greedy = "x = bytearray(); [x.extend(bytes(1 << 20)) for _ in range(2048)]; print(len(x))"
    done = project.compose("exec", "providers", "python", "-c", greedy, check=False)
    assert done.returncode == 137
    assert done.stdout == ""
    project.compose("up", "-d", "--wait")
    assert project.states()["providers"] == "healthy"
