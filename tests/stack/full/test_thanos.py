"""A short suite on the compose stack run natively, with Thanos Query in place of Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.prometheus_access import HEADERS_VARIABLE
from reelbench.loadgen.record.run import RunState
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE
from reelbench.stack.tools import Tools
from tests.commands import run as run_command
from tests.demanding_proxy import demanding
from tests.stack.full.finished import Run, measure
from tests.stack.full.thanos import REPLICAS, ThanosStack

pytestmark = [pytest.mark.acceptance, pytest.mark.extended]


@pytest.fixture(scope="module")
def thanos() -> Path:
    named = os.environ.get("THANOS_BIN")
    if not named:
        pytest.skip("THANOS_BIN names no Thanos; where there is Go: go build -tags slicelabels ./cmd/thanos")
    return Path(named)


@pytest.fixture(scope="module")
def stack(thanos: Path, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThanosStack]:
    with ThanosStack(tmp_path_factory.mktemp("stack"), tools, None, thanos=thanos) as running:
        yield running


@pytest.fixture(scope="module")
def run(stack: ThanosStack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return measure(stack, tmp_path_factory.mktemp("runs"), "single_request", "throughput")


def test_the_run_is_settled_and_its_counts_agree(run: Run, stack: ThanosStack) -> None:
    assert f"Prometheus {stack.thanos_url}" in run.output
    assert "warning" not in run.output
    assert run.record.state is RunState.COMPLETED
    assert (run.settled.kind, run.settled.settled) == ("external", True)
    assert run.settled.prometheus is not None
    assert run.settled.prometheus.url == stack.thanos_url
    assert {job.outcome for job in run.jobs} == {Outcome.COMPLETED}
    report = (run.folder / "reports" / "appendix.md").read_text()
    assert "DIFFERS" not in report
    assert report.count("| agrees") >= 8


def test_each_sample_is_there_twice_and_counted_once(run: Run, stack: ThanosStack) -> None:
    for metric in ("loadgen_jobs_total", "video_jobs_total"):
        whole = f"sum({run.ours(metric)})"
        (once,), (twice,) = (stack.ask(whole, run.at, dedup=dedup) for dedup in (True, False))
        assert float(once["value"][1]) == len(run.jobs)
        assert float(twice["value"][1]) == len(REPLICAS) * len(run.jobs)


def test_p50_p95_and_p99_of_native_histograms_are_within_one_percent(run: Run) -> None:
    for scenario, case in (("single_request", "n01"), ("throughput", "n50")):
        times = [j.done - j.due for j in run.jobs if (j.scenario, j.case) == (scenario, case)]
        for name, quantile in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            exact = float(np.quantile(times, quantile, method="inverted_cdf"))
            found = run.measured(f"response_time_{name}", scenario, case)
            assert found is not None
            print(  # noqa: T201 - the measured error, with -s
                f"{scenario} {name}: exact {exact:.4f} s, Thanos {found:.4f} s, {found / exact - 1:+.2%}"
            )
            assert found == pytest.approx(exact, rel=0.01), (scenario, name)


def test_it_is_exported_again_through_a_proxy_that_demands_tenant_and_token(run: Run, stack: ThanosStack) -> None:
    first = (run.folder / MEASUREMENTS_FILE).read_bytes()
    with demanding(stack.thanos_url, {"THANOS-TENANT": "team-a", "Authorization": "Bearer Geheim"}) as proxy:
        arguments = (str(run.folder), "--prometheus", proxy.url, "--no-charts", "--format", "md")
        without = run_command("export_reports.py", *arguments)
        headers = {HEADERS_VARIABLE: "THANOS-TENANT=team-a,Authorization=Bearer%20Geheim"}
        done = run_command("export_reports.py", *arguments, **headers)
    assert without.returncode == 4
    assert "refused the access (HTTP 401)" in without.stderr
    assert done.returncode in {0, 1, 3}, done.stderr
    assert (run.folder / MEASUREMENTS_FILE).read_bytes() == first
    assert "Geheim" not in done.stdout + done.stderr
