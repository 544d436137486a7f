"""What caches and kept connections save, counted at the providers of the real embedded stack."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import requests

from loadgen.record import CallRecord, Outcome, RunState, read_calls, read_jobs, read_run
from stack.prometheus import PrometheusBinary
from stack.record import read_stack
from stack.reopen import reopen
from tests.scripts.test_suite import left_behind, only_run, run

JOB = Counter(llm=1, tts=5, image=5)
"""Calls of one job of five scenes."""


@dataclasses.dataclass
class Kept:
    folder: Path
    calls: list[CallRecord]

    def of(self, case: str) -> list[CallRecord]:
        return [call for call in self.calls if call.case == case]

    def by_provider(self, case: str) -> Counter[str]:
        return Counter(call.provider for call in self.of(case))

    def connections(self, case: str) -> int:
        return len({(call.provider, call.connection) for call in self.of(case)})


@pytest.fixture(scope="module")
def kept(prometheus: PrometheusBinary, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    runs = tmp_path_factory.mktemp("resources")
    names = ("--scenario", "connection_pooling", "--scenario", "cache_efficiency")
    done = run("run_suite.py", "--embedded", "--no-charts", *names, "--runs", str(runs))
    assert done.returncode == 0, done.stderr + done.stdout  # the verdicts are not the matter of this test
    assert left_behind(runs) == []
    folder = only_run(runs)
    return Kept(folder, read_calls(folder))


@pytest.mark.e2e
def test_all_jobs_are_completed_in_both(kept: Kept) -> None:
    run_record = read_run(kept.folder)
    assert run_record.state is RunState.COMPLETED
    assert [(spec.name, [case.name for case in spec.cases]) for spec in run_record.scenarios] == [
        ("connection_pooling", ["pooled", "unpooled"]),
        ("cache_efficiency", ["cold", "warm", "half_new"]),
    ]
    jobs = Counter((job.case, job.outcome) for job in read_jobs(kept.folder))
    assert jobs == {
        (name, Outcome.COMPLETED): count
        for name, count in (("pooled", 15), ("unpooled", 15), ("cold", 10), ("warm", 10), ("half_new", 10))
    }
    assert {call.outcome for call in kept.calls} == {"ok"}


@pytest.mark.e2e
def test_pooling_opens_fewer_connections_for_the_same_calls(kept: Kept) -> None:
    calls = Counter({name: 15 * count for name, count in JOB.items()})
    assert kept.by_provider("pooled") == kept.by_provider("unpooled") == calls
    assert kept.connections("unpooled") == calls.total() == 165
    # Five jobs at once of five scenes: so many calls can be on their way at the same time.
    assert 11 <= kept.connections("pooled") <= 5 * 11


@pytest.mark.e2e
def test_the_cache_saves_exactly_the_calls_of_known_prompts(kept: Kept) -> None:
    assert kept.by_provider("cold") == Counter({name: 10 * count for name, count in JOB.items()})
    assert kept.of("warm") == []
    assert kept.by_provider("half_new") == Counter({name: 5 * count for name, count in JOB.items()})


@pytest.mark.e2e
def test_hits_of_the_caches_are_the_calls_that_did_not_arrive(kept: Kept, prometheus: PrometheusBinary) -> None:
    query = 'sum by (case, result) (last_over_time(cache_requests_total{scenario="cache_efficiency"}[1h]))'
    stack = read_stack(kept.folder)
    with reopen(kept.folder, prometheus) as url:
        at = {"query": query, "time": str(stack.settled_at)}
        found = requests.get(f"{url}/api/v1/query", params=at, timeout=10).json()["data"]["result"]
    asked = {(one["metric"]["case"], one["metric"]["result"]): float(one["value"][1]) for one in found}
    for case, hits in (("cold", 0), ("warm", 110), ("half_new", 55)):
        assert asked.get((case, "hit"), 0) == hits == 110 - len(kept.of(case))
        assert asked.get((case, "miss"), 0) == len(kept.of(case))


@pytest.mark.e2e
def test_switches_are_recorded_and_put_back(kept: Kept) -> None:
    run_record = read_run(kept.folder)
    assert run_record.switches is not None
    assert run_record.switches["cache"] is run_record.switches["pooling"] is True
    cases = {case.name: (case.switches, case.prompts) for spec in run_record.scenarios for case in spec.cases}
    assert cases == {
        "pooled": ({"pooling": True, "cache": False}, "unique"),
        "unpooled": ({"pooling": False, "cache": False}, "unique"),
        "cold": ({}, "unique"),
        "warm": ({}, "repeated"),
        "half_new": ({}, "half_new"),
    }


@pytest.mark.parametrize(("leak", "code", "status"), [(0, 0, "PASS"), (5_000_000, 1, "FAIL")])
def test_a_service_that_leaks_on_purpose_is_found_out_and_the_normal_one_is_not(
    prometheus: PrometheusBinary, tmp_path: Path, leak: int, code: int, status: str
) -> None:
    options = ["--embedded", "--no-charts", "--scenario", "memory_leak", "--runs", str(tmp_path)]
    done = run("run_suite.py", *options, SERVICE_LEAK_BYTES_PER_JOB=str(leak))
    assert (done.returncode, done.stdout.splitlines()[-2]) == (code, f"resources: {status}"), done.stdout
    verdicts = [line.split()[0] for line in done.stdout.splitlines() if "Memory growth over the iterations" in line]
    assert verdicts == [status]
