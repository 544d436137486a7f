"""Three load generators as the containers run them, over a real Redis or Valkey, and their merged run."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import numpy as np
import pytest
import yaml

from reelbench.loadgen.record.jobs import read_jobs
from reelbench.loadgen.record.run import RunState, read_run
from reelbench.reporting.analysis.generators import MOST_APART, generators
from reelbench.reporting.export import read_evidence
from reelbench.stack.endpoints import free_ports
from reelbench.suite.merging import merge, read_shares
from tests.commands import only_run, run
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.target_runs import scenario

STORE = next((found for name in ("valkey-server", "redis-server") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.extended


@contextmanager
def real_store(folder: Path) -> Iterator[str]:
    assert STORE is not None
    (port,) = free_ports(1)
    words = [STORE, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with Popen(words, stdout=DEVNULL) as server:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


async def generator(store: str, target: str, folder: Path, index: int) -> tuple[int | None, str]:
    words = [
        "-m", "reelbench.loadgen", "run", "--target", target, "--preset", "openai", "--document", "none", "--run-dir",
        str(folder / "shares"), "--scenarios", str(folder / "scenarios"), "--rendezvous", store, "--run-id", "run-1",
        "--replicas", "3",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, env=os.environ | {"JOB_COMPLETION_INDEX": str(index)}, stdout=DEVNULL, stderr=-1
    )
    _, messages = await process.communicate()
    return process.returncode, messages.decode()


@pytest.mark.skipif(STORE is None, reason="no valkey-server and no redis-server")
async def test_three_generators_make_one_run(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "small.yaml").write_text(yaml.safe_dump(scenario(jobs=30)))
    fake = FakeTarget(seconds=0.1)
    with real_store(tmp_path) as store:
        async with serving(fake):
            ends = await asyncio.gather(*(generator(store, fake.url, tmp_path, index) for index in range(3)))
            assert [code for code, _ in ends] == [0, 0, 0], ends
            again = await generator(store, fake.url, tmp_path, 1)
    assert again[0] == 3
    assert "the run run-1 has begun already: replica 1 of 3, from 0, cannot join it" in again[1].replace("\n", " ")
    shares = sorted((tmp_path / "shares").iterdir())
    whole = merge(read_shares(shares), tmp_path / "merged")
    assert (whole.state, whole.load_generators) == (RunState.COMPLETED, 3)
    jobs = read_jobs(tmp_path / "merged")
    assert sorted(job.index for job in jobs) == list(range(30))
    assert len(fake.uploads) == 30
    evidence = read_evidence(tmp_path / "merged")
    apart = sorted(job.done - job.due for own in shares for job in read_jobs(own))
    together = evidence.response_times("small", "n03")
    for q in (0.5, 0.95, 0.99):
        assert np.quantile(together, q, method="inverted_cdf") == np.quantile(apart, q, method="inverted_cdf")
    found = generators(evidence, "reliability")
    assert [one.jobs for one in found] == [10, 10, 10]
    assert all(one.apart is not None and one.apart < MOST_APART for one in found)
    starts = [read_run(own).scenarios[0].cases[0] for own in shares]
    assert all(0 <= (one.started or 0) - (one.agreed or 0) < 0.5 for one in starts)
    store_count = whole.scenarios[0].store
    assert store_count is not None
    assert (store_count.expected, store_count.found) == (30, 30)


@pytest.mark.acceptance
def test_one_command_drives_three_generators_and_all_counts_agree(tmp_path: Path) -> None:
    ended = run(
        "run_suite.py", "--embedded", "--replicas", "3", "--scenario", "llm_outage", "--runs", str(tmp_path),
        "--no-charts", REELBENCH_OTHERS_LIMIT="none",
    )  # fmt: skip
    assert ended.returncode in {0, 3}, ended.stderr
    folder = only_run(tmp_path)
    evidence = read_evidence(folder)
    assert (evidence.run.state, evidence.run.load_generators) == (RunState.COMPLETED, 3)
    assert sorted(job.index for job in evidence.jobs) == list(range(95))
    assert [(fault.seen or 0) > 0 and fault.seen == fault.hit for fault in evidence.run.faults] == [True, True]
    report = (folder / "reports" / "reliability_report.md").read_text()
    assert "Every available source counts the same jobs as the client's log." in report
    assert "3 load generators ran one plan" in (folder / "reports" / "appendix.md").read_text()
    assert (folder / "traces" / "loadgen.3.jsonl").stat().st_size > 0
