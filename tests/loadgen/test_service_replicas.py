"""Replicas of the service behind one address: how they are noticed, and which scenarios they cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.control.service_replicas import ASKED, for_replicas, replicas_of
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.target.target_error import TargetError
from tests.loadgen.fake_controls import FakeControls
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import scenario
from tests.loadgen.target_runs import run_against

PATH = "/v1/admin/settings"


@pytest.mark.parametrize(
    ("controls", "replicas"),
    [
        (FakeControls(), 1),
        (FakeControls(instances=["one", "two"]), 2),
        (FakeControls(instances=["one"] * (ASKED - 1) + ["two"]), 2),
        (FakeControls(instances=["one", "two", "three"]), 3),
        (FakeControls(instances=[""]), 1),  # an earlier version, which does not say which process it is
        (FakeControls(offered=False), 1),
    ],
)
async def test_replicas_are_counted_by_the_process_that_answers(controls: FakeControls, replicas: int) -> None:
    async with serving(FakeTarget(controls=controls)) as fake, AdminClient(fake.url) as client:
        assert await replicas_of(client, PATH) == replicas


@pytest.mark.parametrize(("instances", "replicas"), [(["one"], 1), (["one", "two"], 2)])
async def test_the_record_of_a_run_says_how_many_replicas_answered(
    tmp_path: Path, instances: list[str], replicas: int
) -> None:
    async with serving(FakeTarget(controls=FakeControls(instances=instances))) as fake:
        await run_against(fake.url, tmp_path)
    assert read_run(tmp_path / "run").service_replicas == replicas


def shipped() -> list[Scenario]:
    return [one for one in load_folder().values() if one.default_for == "every_target"]


def test_scenarios_of_one_process_are_left_out_with_a_sentence() -> None:
    lines: list[str] = []
    kept = {one.name for one in for_replicas(shipped(), 2, named=False, say=lines.append)}
    assert {"single_request", "throughput", "api_latency", "arrival_rate", "normal_operation"} <= kept
    gone = {one.name for one in shipped()} - kept
    assert {
        "llm_outage",
        "store_outage",
        "job_cancellation",
        "cache_efficiency",
        "memory_leak",
        "idle_baseline",
    } <= gone
    (line,) = lines
    assert line.startswith("left out: ")
    assert all(name in line for name in gone)
    assert ": the service has 2 replicas, and faults, switches, circuit breakers, cancellations, memory and" in line
    assert line.endswith(" CPU are those of one process: measure one replica at its own address")


def test_a_named_scenario_of_one_process_is_refused() -> None:
    plain, leak = scenario(name="plain"), scenario(name="leak", dimension="resources")
    with pytest.raises(TargetError, match=r"^leak cannot run: the service has 3 replicas, and faults"):
        for_replicas([plain, leak], 3, named=True, say=lambda _: None)
    with pytest.raises(TargetError, match=r"^leak cannot run"):
        for_replicas([leak], 3, named=False, say=lambda _: None)
    assert for_replicas([plain], 3, named=True, say=lambda _: None) == [plain]
    assert for_replicas([plain, leak], 1, named=True, say=lambda _: None) == [plain, leak]
