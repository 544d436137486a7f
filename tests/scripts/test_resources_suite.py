"""Savings of caches and pooled connections, counted at the providers of the real embedded stack."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import requests

from reelbench.loadgen.record.jobs import CallRecord, Outcome, read_calls, read_jobs
from reelbench.loadgen.record.run import read_run
from reelbench.stack.prometheus import PrometheusBinary
from reelbench.stack.reopen_tsdb import reopen_tsdb
from tests.acceptance import SuiteRun, needs
from tests.commands import left_behind, run, stack_of

pytestmark = pytest.mark.acceptance
POOLING, CACHE = needs("connection_pooling"), needs("cache_efficiency")
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


@pytest.fixture
def kept(suite: SuiteRun) -> Kept:
    mine = ("connection_pooling", "cache_efficiency")
    return Kept(suite.folder, [call for call in read_calls(suite.folder) if call.scenario in mine])


@POOLING
@CACHE
def test_all_jobs_are_completed_in_both_scenarios(kept: Kept) -> None:
    mine = ("connection_pooling", "cache_efficiency")
    jobs = Counter((job.case, job.outcome) for job in read_jobs(kept.folder) if job.scenario in mine)
    assert jobs == {
        (name, Outcome.COMPLETED): count
        for name, count in (
            *((name, 10) for name in ("pooled", "unpooled", "unpooled_again", "pooled_again")),
            *((name, 10) for name in ("cold", "warm", "half_new")),
        )
    }
    assert {call.outcome for call in kept.calls} == {"ok"}


@POOLING
def test_pooling_opens_fewer_connections_for_the_same_calls(kept: Kept) -> None:
    calls = Counter({name: 10 * count for name, count in JOB.items()})
    assert kept.by_provider("pooled") == kept.by_provider("unpooled") == calls
    assert kept.connections("unpooled") == calls.total() == 110
    # As many as were used concurrently, and perhaps connections that earlier scenarios left open.
    assert 11 <= kept.connections("pooled") <= 0.6 * 110


@CACHE
def test_the_cache_saves_exactly_the_calls_of_known_prompts(kept: Kept) -> None:
    assert kept.by_provider("cold") == Counter({name: 10 * count for name, count in JOB.items()})
    assert kept.of("warm") == []
    assert kept.by_provider("half_new") == Counter({name: 5 * count for name, count in JOB.items()})


@CACHE
def test_cache_hits_equal_the_saved_calls(kept: Kept, prometheus: PrometheusBinary) -> None:
    query = 'sum by (case, result) (last_over_time(cache_requests_total{scenario="cache_efficiency"}[1h]))'
    stack = stack_of(kept.folder)
    with reopen_tsdb(kept.folder, prometheus) as url:
        at = {"query": query, "time": str(stack.settled_at)}
        found = requests.get(f"{url}/api/v1/query", params=at, timeout=10).json()["data"]["result"]
    asked = {(one["metric"]["case"], one["metric"]["result"]): float(one["value"][1]) for one in found}
    for case, hits in (("cold", 0), ("warm", 110), ("half_new", 55)):
        assert asked.get((case, "hit"), 0) == hits == 110 - len(kept.of(case))
        assert asked.get((case, "miss"), 0) == len(kept.of(case))


@POOLING
@CACHE
def test_toggles_are_recorded_and_restored(kept: Kept) -> None:
    run_record = read_run(kept.folder)
    assert run_record.switches is not None
    assert run_record.switches["cache"] is run_record.switches["pooling"] is True
    cases = {
        case.name: (case.switches, case.prompts)
        for spec in run_record.scenarios
        if spec.name in {"connection_pooling", "cache_efficiency"}
        for case in spec.cases
    }
    assert cases == {
        "pooled": ({"pooling": True, "cache": False}, "unique"),
        "unpooled": ({"pooling": False, "cache": False}, "unique"),
        "unpooled_again": ({"pooling": False, "cache": False}, "unique"),
        "pooled_again": ({"pooling": True, "cache": False}, "unique"),
        "cold": ({}, "unique"),
        "warm": ({}, "repeated"),
        "half_new": ({}, "half_new"),
    }


@pytest.mark.extended
def test_an_injected_leak_is_detected(prometheus: PrometheusBinary, tmp_path: Path) -> None:
    """The acceptance suite covers the normal service with its objective of `memory_leak`."""
    options = ["--embedded", "--no-charts", "--scenario", "memory_leak", "--runs", str(tmp_path)]
    done = run("run_suite.py", *options, SERVICE_LEAK_BYTES_PER_JOB="5000000")
    assert (done.returncode, done.stdout.splitlines()[-2][:6]) == (1, "FAIL: "), done.stdout
    verdicts = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  FAIL")]
    assert "FAIL" in verdicts
    assert left_behind(tmp_path) == []
