"""Two replicas of the service behind a load balancer that sends each request to the next one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import Outcome
from reelbench.loadgen.record.run import RunState
from reelbench.stack import readiness
from reelbench.stack.endpoints import free_ports
from reelbench.stack.tools import Tools
from tests.stack.full.finished import Run, measure
from tests.stack.full.native import ROOT, NativeStack, clean, replaced

pytestmark = [pytest.mark.acceptance, pytest.mark.extended]


@dataclass
class ReplicatedStack(NativeStack):
    """The compose stack with a second service, which shares the store and the folder of files, and a balancer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.second, self.balanced = (f"127.0.0.1:{port}" for port in free_ports(2))

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            for name, address in (("service-b", self.second), ("balancer", self.balanced)):
                self.start(name)
                child = self.children[name]

                def look(url: str = f"http://{address}/ready") -> bool | None:
                    child.check()  # noqa: B023 - polled before the next one starts
                    return True if readiness.answers(url) else None

                readiness.poll(look, name, deadline=40)
        except BaseException:
            self.__exit__()
            raise
        return self

    def runner_environment(self) -> dict[str, str]:
        return super().runner_environment() | {"SERVICE_URL": f"http://{self.balanced}"}

    def _service_b(self) -> tuple[list[str], dict[str, str]]:
        command, environment = self._service()
        port = self.addresses["service:8000"].split(":")[1]
        return replaced("\n".join(command), f"\n{port}", f"\n{self.second.split(':')[1]}").split("\n"), environment

    def _balancer(self) -> tuple[list[str], dict[str, str]]:
        port = self.balanced.split(":")[1]
        servers = [self.url("service:8000"), f"http://{self.second}"]
        return [sys.executable, "-m", "tests.balancer", port, *servers], clean()


@pytest.fixture(scope="module")
def stack(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicatedStack]:
    with ReplicatedStack(tmp_path_factory.mktemp("stack"), tools, None) as running:
        yield running


@pytest.fixture(scope="module")
def run(stack: ReplicatedStack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return measure(stack, tmp_path_factory.mktemp("runs"), "throughput", "api_latency")


def test_both_replicas_worked_and_the_counts_agree(run: Run, stack: ReplicatedStack) -> None:
    assert run.record.state is RunState.COMPLETED
    assert run.record.service_replicas == 2
    assert run.settled.settled
    assert {job.outcome for job in run.jobs} == {Outcome.COMPLETED}
    report = (run.folder / "reports" / "appendix.md").read_text()
    assert "DIFFERS" not in report
    assert report.count("| agrees") >= 8
    made = stack.query(f"sum by (service_instance_id) ({run.ours('video_jobs_total', scenario='throughput')})", run.at)
    counts = [float(one["value"][1]) for one in made]
    assert len(counts) == 2
    assert min(counts) >= 5
    assert sum(counts) == sum(1 for job in run.jobs if job.scenario == "throughput")


def test_a_scenario_of_one_process_is_refused(stack: ReplicatedStack, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/run_suite.py", "--runs", str(tmp_path), "--scenario", "llm_outage", "--no-charts"],
        cwd=ROOT,
        env=stack.runner_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.ABSENT, done.stderr
    assert "llm_outage cannot run: the service has 2 replicas, and faults" in done.stderr
    assert list(tmp_path.iterdir()) == []
