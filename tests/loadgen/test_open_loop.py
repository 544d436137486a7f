from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbench.loadgen.drive.recorder import pending, share_of
from reelbench.loadgen.drive.replicas import Share
from reelbench.loadgen.drive.session import most_in_flight
from reelbench.loadgen.drive.stop import Stop
from reelbench.loadgen.plan.plan import plan_case
from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs, read_requests
from reelbench.loadgen.record.journal import JournalError
from reelbench.loadgen.record.run import RunState, read_run
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, open_case, scenario
from tests.loadgen.test_runner import run_on

SLOW = 60.0
"""Seconds of a job that does not end within a test."""


def of_case(folder: Path) -> list[JobRecord]:
    return sorted((job for job in read_jobs(folder) if not job.warmup), key=lambda job: job.index)


async def test_a_job_is_sent_at_its_intended_start_independent_of_earlier_jobs(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=2.0)
    spec = scenario(steps=["create", "wait"], cases=[open_case(rate=25, seconds=1, arrivals="poisson")])
    async with serving(fake):
        await run_on(fake.url, tmp_path, [spec])
    jobs, window = of_case(tmp_path), read_run(tmp_path).scenarios[0].cases[0]
    planned = plan_case(spec, spec.cases[0], "quick", 1)
    assert window.started is not None
    assert [job.due - window.started for job in jobs] == pytest.approx(
        [job.intended_start for job in planned], abs=1e-6
    )
    assert max(job.sent for job in jobs) < min(job.done for job in jobs)  # none waits for the end of another
    assert min(job.sent - job.due for job in jobs) >= 0  # a timer that fires early does not send early
    assert fake.peak == len(jobs)
    assert {job.outcome for job in jobs} == {Outcome.COMPLETED}


async def test_no_pause_between_warm_up_and_measured_part(tmp_path: Path) -> None:
    spec = scenario(cases=[open_case(rate=10, seconds=1, warmup=1)])
    async with serving(FakeTarget()) as fake:
        telemetry = await run_on(fake.url, tmp_path, [spec])
    jobs, window = sorted(read_jobs(tmp_path), key=lambda job: job.due), read_run(tmp_path).scenarios[0].cases[0]
    assert [job.warmup for job in jobs] == [True] * 10 + [False] * 10
    assert [after.due - before.due for before, after in pairwise(jobs)] == pytest.approx([0.1] * 19, abs=1e-5)
    assert window.started == pytest.approx(jobs[10].due)
    assert window.ended is not None
    assert window.ended >= max(job.done for job in jobs)
    assert (window.planned, window.warmup) == (10, 10)
    assert [point.value for point in telemetry.points("loadgen.jobs")] == [10]


async def test_jobs_beyond_the_limit_wait_keep_their_intended_start_and_are_not_dropped(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=0.2)
    spec = scenario(steps=["create", "wait"], cases=[open_case(rate=20, seconds=1, max_in_flight=2)])
    async with serving(fake):
        await run_on(fake.url, tmp_path, [spec])
    jobs, window = of_case(tmp_path), read_run(tmp_path).scenarios[0].cases[0]
    assert fake.peak == 2
    assert window.started is not None
    assert [job.due - window.started for job in jobs] == pytest.approx([index / 20 for index in range(20)], abs=1e-6)
    assert [job.released is not None for job in jobs] == [False] * 2 + [True] * 18
    # Two at a time of 0.2 s each: pair k begins at 0.2 k, so job i ends 0.2 (i // 2 + 1) after the start at best.
    for job in jobs:
        response = job.done - job.due
        assert response >= 0.2 * (job.index // 2 + 1) - job.index / 20 - 0.01
        assert job.done - job.sent >= 0.2 - 0.01
        assert job.released is None or job.due < job.released <= job.sent
    assert jobs[-1].sent - jobs[-1].due > 0.7


async def test_unfinished_jobs_are_cut_off_recorded_and_deleted(tmp_path: Path) -> None:
    fake = FakeTarget(seconds=SLOW)
    cases = [open_case(rate=10, seconds=1, drain=0.3, max_in_flight=6), case("after", iterations=1)]
    left: list[int] = []

    async def look(request: Any) -> None:
        if (await request.json())["prompt"].count(":after:"):
            left.append(len(fake.videos))
            fake.seconds = 0.01

    async def slowly(_: Any) -> None:
        await asyncio.sleep(0.6)  # slow deletions do not delay the cut-off of waiting jobs

    fake.faults.update(create=look, delete=slowly)
    async with serving(fake):
        telemetry = await run_on(fake.url, tmp_path, [scenario(cases=cases)])
    window = read_run(tmp_path).scenarios[0].cases[0]
    jobs = [job for job in of_case(tmp_path) if job.case == "open"]
    assert window.started is not None
    cut_off = window.started + 1.3
    assert [job.outcome for job in jobs] == [Outcome.TIMEOUT] * 10
    assert min(job.done for job in jobs) >= cut_off - 0.005
    assert max(job.done for job in jobs) < cut_off + SLOW / 2
    assert [job.sent == job.done for job in jobs] == [False] * 6 + [True] * 4
    assert [job.error for job in jobs] == ["not finished when the case was cut off"] * 6 + [
        "never sent: the case was cut off"
    ] * 4
    assert [job.deleted for job in jobs] == [True] * 6 + [False] * 4
    assert left == [0]  # no job continues during the next case
    created = [request for request in read_requests(tmp_path) if request.operation == "create"]
    assert Counter(request.case for request in created) == {"open": 6, "after": 1}
    counted = {(p.attributes["case"], p.attributes["outcome"]): p.value for p in telemetry.points("loadgen.jobs")}
    assert counted == {("open", "timeout"): 10, ("after", "completed"): 1}
    roots = [span for span in telemetry.exporter.get_finished_spans() if span.name == "loadgen.job"]
    assert len(roots) == 11
    assert [point.value for point in telemetry.points("loadgen.jobs.in_flight")] == [0]


async def test_the_first_stop_ends_the_arrivals_and_lets_jobs_in_flight_end(tmp_path: Path) -> None:
    fake, stop = FakeTarget(seconds=1.5), Stop()

    async def stop_a_little_after_the_fifth(_: Any) -> None:
        if len(fake.uploads) == 4:
            asyncio.get_running_loop().call_later(0.35, stop.request)

    fake.faults["create"] = stop_a_little_after_the_fifth
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(cases=[open_case(rate=10, seconds=30, max_in_flight=5)])], stop)
    jobs = of_case(tmp_path)
    assert read_run(tmp_path).state is RunState.INTERRUPTED
    completed = [job for job in jobs if job.outcome is Outcome.COMPLETED]
    unsent = [job for job in jobs if job.outcome is Outcome.ABORTED]
    assert len(completed) + len(unsent) == len(jobs)
    assert len(completed) == len(fake.uploads) == 5
    assert 1 <= len(unsent) <= 9
    assert all(job.error == "never sent: the run was stopped" and job.sent == job.done for job in unsent)


async def test_the_second_stop_cuts_off_jobs_in_flight(tmp_path: Path) -> None:
    fake, stop = FakeTarget(seconds=SLOW), Stop()

    async def stop_at_the_fourth(_: Any) -> None:
        if len(fake.uploads) == 3:
            stop.request()
            asyncio.get_running_loop().call_later(0.4, stop.request)

    fake.faults["create"] = stop_at_the_fourth
    async with serving(fake):
        spec = scenario(time_limit=SLOW, cases=[open_case(rate=10, seconds=30)])
        await run_on(fake.url, tmp_path, [spec], stop)
    jobs = of_case(tmp_path)
    assert len(jobs) == len(fake.uploads) >= 4
    assert {(job.outcome, job.error) for job in jobs} == {(Outcome.ABORTED, "the run was stopped")}
    assert all(job.done - job.due > 0.3 for job in jobs)


async def test_a_stop_during_warm_up_lets_its_jobs_end(tmp_path: Path) -> None:
    fake, stop = FakeTarget(seconds=0.4), Stop()

    async def stop_at_the_third(_: Any) -> None:
        if len(fake.uploads) == 2:
            stop.request()

    fake.faults["create"] = stop_at_the_third
    async with serving(fake):
        await run_on(fake.url, tmp_path, [scenario(cases=[open_case(rate=10, seconds=30, warmup=20)])], stop)
    jobs = read_jobs(tmp_path)
    assert len(jobs) >= 3
    assert {(job.warmup, job.outcome) for job in jobs} == {(True, Outcome.COMPLETED)}
    assert read_run(tmp_path).scenarios[0].cases[0].started is None


async def test_a_run_ends_at_once_when_records_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(file: int, data: bytes) -> int:
        if b'"outcome"' in bytes(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data)

    async with serving(FakeTarget()) as fake:
        monkeypatch.setattr(os, "write", full)
        async with asyncio.timeout(25):  # less than the 30 s of the arrivals
            with pytest.raises(JournalError, match=r"No space left"):
                await run_on(fake.url, tmp_path, [scenario(cases=[open_case(rate=10, seconds=30)])])
        monkeypatch.undo()
    assert read_run(tmp_path).state is RunState.FAILED


@given(rate=st.integers(1, 40), seconds=st.integers(1, 5), count=st.integers(1, 7))
def test_replicas_share_the_arrivals_of_an_open_case(rate: int, seconds: int, count: int) -> None:
    spec = scenario(cases=[open_case(rate=rate, seconds=seconds, warmup=1, arrivals="poisson", max_in_flight=100)])
    plan, level = plan_case(spec, spec.cases[0], "quick", 1), spec.cases[0]
    shares = [Share(index, count) for index in range(count)]
    owned = [share_of(plan, spec, level, share) for share in shares]
    assert sorted((job for part in owned for job in part), key=lambda job: job.index) == list(plan)
    assert max(map(len, owned)) - min(map(len, owned)) <= 1
    records = [pending(spec, "quick", plan, share).cases[0] for share in shares]
    assert sum(record.planned + record.warmup for record in records) == len(plan)
    assert sum(record.arrivals.rate for record in records if record.arrivals) == pytest.approx(rate)
    assert sum(most_in_flight(level, share) for share in shares) == 100


def test_each_replica_gets_at_least_one_job_in_flight() -> None:
    assert [Share(index, 3).most(2) for index in range(3)] == [1, 1, 1]
