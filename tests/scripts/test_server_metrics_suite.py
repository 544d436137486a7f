"""A whole run against a fake with the metrics of vLLM-Omni and DCGM: every number of the truth is in the report."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.loadgen.record.run import read_run
from reelbench.reporting.evidence import server_evidence
from reelbench.reporting.evidence.server_evidence import ServerEvidence
from reelbench.stack.prometheus import PrometheusBinary
from tests.commands import only_run, run
from tests.fakes.figures import FULL_WATTS, IDLE_WATTS, MIB_PER_JOB, STAGES
from tests.fakes.generation import Load
from tests.fakes.manners import manner
from tests.fakes.server import Fake
from tests.fakes.serving import serving
from tests.fakes.truth import Job
from tests.report_text import report_text

pytestmark = [pytest.mark.acceptance, pytest.mark.extended]
SLIS = """
version: 1
slis:
  - id: my_ended
    title: Requests that ended
    unit: requests
    kind: total
    dimension: performance
    section: server
    scope: case
    query: >-
      sum(vllm_omni:e2e_request_latency_s_count{} @ $end) - sum(vllm_omni:e2e_request_latency_s_count{} @ $start)
    why: A count of mine.
    objective: {value: 6.0, direction: at_least}
"""


@contextmanager
def served(load: Load) -> Iterator[Fake]:
    """A fake that takes documents, served by a thread of its own."""
    kind = manner(
        "fastvideo", metrics=frozenset({"vllm_omni", "dcgm", "process"}), references=("application/pdf", "text/plain")
    )
    fake, up, loop = Fake(kind, load), threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with serving(fake):
            up.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


@pytest.fixture(scope="module")
def ended(
    prometheus: PrometheusBinary, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Fake, ServerEvidence]]:
    folder = tmp_path_factory.mktemp("foreign")
    slis = folder / "mine.yaml"
    slis.write_text(SLIS)
    with served(Load(seconds=0.2, slots=2, fail_every=5)) as fake:
        names = ("concurrent_load", "single_job", "idle_baseline")
        chosen = [word for name in names for word in ("--scenario", name)]
        printed = run(
            "run_suite.py", "--runs", str(folder / "runs"), "--target", fake.origin, "--no-charts", *chosen,
            "--gpu-hour-price", "3.6", "--slis", str(slis), PROMETHEUS_BIN=str(prometheus.path),
        )  # fmt: skip
        assert "resources: PASS" in printed.stdout, printed.stderr
        run_dir = only_run(folder / "runs")
        evidence = server_evidence.read(run_dir)
        assert evidence is not None
        yield run_dir, fake, evidence


def measured(run_dir: Path, fake: Fake, scenario: str, case: str) -> list[Job]:
    """What the fake knows of the measured jobs of a case."""
    truth = {job.id: job for job in fake.truth.jobs}
    jobs: list[JobRecord] = [
        job for job in read_jobs(run_dir) if (job.scenario, job.case, job.warmup) == (scenario, case, False)
    ]
    return [truth[job.job_id] for job in jobs if job.job_id is not None]


def row_of(text: str, section: str, place: str) -> dict[str, str]:
    """The first row of a place in a section of a report, by the heads of its columns."""
    lines = [line for line in text.partition(f"## {section}\n")[2].splitlines() if line.startswith("|")]
    heads, found = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (lines[0], next(line for line in lines if line.startswith(f"| {place} ")))
    )
    return dict(zip(heads, found, strict=True))


def lengths(jobs: list[Job]) -> tuple[float, float, float]:
    """Sums of latency, queue and generation."""
    done = [(job.created, job.started or 0.0, job.ended or 0.0) for job in jobs]
    return sum(e - c for c, _, e in done), sum(s - c for c, s, _ in done), sum(e - s for _, s, e in done)


def test_the_servers_times_are_found_to_the_digit(ended: tuple[Path, Fake, ServerEvidence]) -> None:
    run_dir, fake, evidence = ended
    for case in ("n01", "n05", "n10"):
        jobs = measured(run_dir, fake, "concurrent_load", case)
        latency, queue, work = lengths(jobs)
        found = {
            (one.role, one.labels.get("stage", "")): one
            for one in evidence.counts
            if (one.scenario, one.case) == ("concurrent_load", case) and one.count is not None
        }
        assert {one.count for one in found.values()} == {float(len(jobs))}
        assert found["latency", ""].value == pytest.approx(latency, rel=1e-9)
        assert found["queue_time", ""].value == pytest.approx(queue, rel=1e-9, abs=1e-9)
        assert found["stage_time", "0"].value == pytest.approx(work, rel=1e-9)
        assert found["stage_time", "VAE decode"].value == pytest.approx(work * STAGES["vae_decode"], rel=1e-9)
        text = report_text(run_dir, "performance")
        row = row_of(text, "The server's own times", f"concurrent_load / {case}")
        assert (row["Client: jobs"], row["Server: n"]) == (f"{len(jobs)}", f"{len(jobs)}")
        assert (row["Server: mean [s]"], row["Queue: mean [s]"]) == (
            f"{latency / len(jobs):,.3f}", f"{queue / len(jobs):,.3f}",
        )  # fmt: skip


def test_the_servers_counts_agree_with_the_clients(ended: tuple[Path, Fake, ServerEvidence]) -> None:
    run_dir, fake, evidence = ended
    for scenario, case in (("concurrent_load", "n10"), ("single_job", "n01")):
        jobs = measured(run_dir, fake, scenario, case)
        found = {
            one.result: one.value
            for one in evidence.counts
            if (one.scenario, one.case, one.role) == (scenario, case, "requests")
        }
        assert found["completed"] == sum(job.end == "completed" for job in jobs)
        assert found["failed"] == sum(job.end == "failed" for job in jobs) > 0
    text = report_text(run_dir, "performance")
    table = text.partition("## Performance: Counts")[2].partition("\n## ")[0]
    assert table.count("server, vLLM-Omni") == 2 * sum(
        len(s.cases) for s in read_run(run_dir).scenarios if s.name == "concurrent_load"
    )
    assert "DIFFERS" not in table


def test_energy_and_cost_of_a_video_follow_from_the_gpu(ended: tuple[Path, Fake, ServerEvidence]) -> None:
    run_dir, fake, _ = ended
    jobs = measured(run_dir, fake, "single_job", "n01")
    case = next(c for s in read_run(run_dir).scenarios if s.name == "single_job" for c in s.cases)
    assert case.started is not None
    assert case.ended is not None
    length = case.ended - case.started
    videos = sum(job.end == "completed" for job in jobs)
    busy = (FULL_WATTS - IDLE_WATTS) * lengths(jobs)[2] / fake.load.slots
    text = report_text(run_dir, "resources")
    found = row_of(text, "Energy and cost", "single_job / n01")
    row = {head: cell.replace(",", "") for head, cell in found.items()}
    assert row["Videos"] == f"{videos}"
    assert float(row["Energy [J]"]) == pytest.approx(busy + IDLE_WATTS * length, rel=0.02)
    assert float(row["Above idle [J]"]) == pytest.approx(busy, rel=0.02)
    assert float(row["GPU seconds per video"]) == pytest.approx(length / videos, abs=0.005)
    assert float(row["Cost per video [USD]"]) == pytest.approx(0.001 * length / videos, rel=0.01)
    busiest = server_gauges(run_dir, "gpu_memory", "concurrent_load")[-1]
    assert busiest.most == (2048 + 2 * MIB_PER_JOB) * 1024**2


def server_gauges(run_dir: Path, role: str, scenario: str) -> list[server_evidence.ServerGauge]:
    found = server_evidence.read(run_dir)
    assert found is not None
    return [one for one in found.gauges if (one.role, one.scenario) == (role, scenario)]


def test_the_resources_report_is_judged_by_the_servers_metrics(ended: tuple[Path, Fake, ServerEvidence]) -> None:
    run_dir, _, _ = ended
    text = report_text(run_dir, "resources")
    assert "**Verdict: PASS**" in text
    assert "NO DATA" not in text.partition("## Objectives")[2].partition("\n## ")[0]
    for title in ("CPU and memory of the server", "GPUs", "Energy and cost", "What is not known"):
        assert f"\n## {title}\n" in text
    assert "\n## Caching" not in text


def test_an_indicator_of_the_user_is_judged(ended: tuple[Path, Fake, ServerEvidence]) -> None:
    run_dir, fake, _ = ended
    text = report_text(run_dir, "performance")
    rows = {
        line.split("|")[2].strip(): [cell.strip() for cell in line.split("|")]
        for line in text.partition("## Objectives")[2].partition("\n## ")[0].splitlines()
        if line.startswith("| Requests that ended")
    }
    for case in ("n01", "n10"):
        ends = len(measured(run_dir, fake, "concurrent_load", case))
        row = rows[f"concurrent_load / {case}"]
        assert row[4] == f"{ends} requests"
        assert row[7] == ("**PASS**" if ends >= 6 else "**FAIL**")
    assert "\n## Indicators of your own\n" in text


def test_records_and_reports_of_the_run_agree_without_prometheus(ended: tuple[Path, Fake, ServerEvidence]) -> None:
    run_dir, _, evidence = ended
    before = (run_dir / "reports" / "resources_report.md").read_bytes()
    path = run_dir / "reports" / "resources_report.md"
    path.unlink()
    again = run("export_reports.py", str(run_dir), "--kept", "--no-charts", "--format", "md")
    assert str(run_dir / "reports" / "summary.md") in again.stdout
    assert (run_dir / "reports" / "resources_report.md").read_bytes() == before
    assert server_evidence.read(run_dir) == evidence
    assert {job.outcome for job in read_jobs(run_dir)} == {Outcome.COMPLETED, Outcome.FAILED}
