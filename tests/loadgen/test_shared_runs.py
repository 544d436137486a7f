from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.drive import replicas
from reelbench.loadgen.drive.conditions import Conditions
from reelbench.loadgen.drive.meeting import join_as
from reelbench.loadgen.drive.replicas import ReplicaError
from reelbench.loadgen.machine.observation import Machine
from reelbench.loadgen.machine.parts import Parts
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.record.conditions import STORE_CLOCK, read_conditions
from reelbench.loadgen.record.jobs import JobRecord, read_jobs
from reelbench.loadgen.record.journal import Journal
from reelbench.loadgen.record.run import CaseRecord, RunRecord, RunState, read_run
from tests.loadgen.fake_controls import FakeControls
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, open_case, scenario
from tests.loadgen.test_runner import run_on

OUTAGE = {"at": 0, "what": {"target": "llm", "kind": "outage"}}
LEAD = 0.6


async def driven(store: str, fake: FakeTarget, folder: Path, specs: list[Scenario]) -> list[RunRecord]:
    """Run scenarios by three generators in this process; return their records, by index."""

    async def generator(index: int) -> RunRecord:
        replica = await join_as(store, index, 3, "run-1", limit=10)
        assert replica is not None
        own = folder / replica.name

        def conditions(journal: Journal, _: Any) -> Conditions:
            return Conditions(journal, Machine(Parts.of_run(fake.url)), None, [replica.clock])

        try:
            await run_on(fake.url, own, specs, replica=replica, conditions=conditions)
        finally:
            await replica.close()
        return read_run(own)

    async with serving(fake):
        return list(await asyncio.gather(*(generator(index) for index in range(3))))


def windows(runs: list[RunRecord], name: str) -> list[CaseRecord]:
    return [one for run in runs for spec in run.scenarios for one in spec.cases if one.name == name]


def all_jobs(folder: Path) -> list[JobRecord]:
    return [job for own in sorted(folder.iterdir()) for job in read_jobs(own)]


@pytest.mark.extended
async def test_no_generator_lifts_what_another_has_injected(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "LEAD_SECONDS", LEAD)
    fake = FakeTarget(seconds=0.2, controls=FakeControls(seen=12, hit=12))
    # Of the measured jobs, the first generator has one, the others have two: it ends first.
    faulty = case(concurrency=3, iterations=5, warmup=1, faults=[OUTAGE], switches={"cache": False})
    specs = [scenario(cases=[faulty, case("after", concurrency=3, iterations=3)])]
    runs = await driven(store, fake, tmp_path, specs)
    assert [run.state for run in runs] == [RunState.COMPLETED] * 3
    assert [len(fake.controls.plans), fake.controls.plans[-1]] == [2, None]  # injected once, and lifted once
    assert [len(run.faults) for run in runs] == [1, 0, 0]
    (fault,) = runs[0].faults
    assert (fault.seen, fault.hit) == (12, 12)
    jobs = [job for job in all_jobs(tmp_path) if job.case == "n01"]
    measured = [job for job in jobs if not job.warmup]
    assert (len(jobs), len(measured)) == (6, 5)
    own_end = windows(runs, "n01")[0].ended
    assert own_end is not None
    assert fault.ended is not None
    assert max(job.done for job in jobs) > own_end + 0.1  # the first generator had ended before the others
    assert fault.ended >= max(job.done for job in jobs)
    assert fault.started <= min(job.sent for job in measured)
    assert [job.done <= fault.started for job in jobs if job.warmup] == [True]
    assert fake.controls.switched == [{"cache": False}, {"cache": True}]
    stores = [run.scenarios[0].store for run in runs]
    assert stores[0] is not None
    assert (stores[0].expected, stores[0].found, stores[1:]) == (9, 9, [None, None])
    assert [run.scenarios[0].audit is not None for run in runs] == [True, False, False]
    assert fake.counts()["list"] == 1


@pytest.mark.extended
async def test_every_case_begins_at_an_agreed_instant_and_clocks_are_recorded(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "LEAD_SECONDS", LEAD)
    fake = FakeTarget(seconds=0.05)
    cases = [case(concurrency=3, iterations=6), open_case(rate=30.0, arrivals="constant", seconds=1, max_in_flight=9)]
    runs = await driven(store, fake, tmp_path, [scenario(cases=cases)])
    for name in ("n01", "open"):
        found = windows(runs, name)
        agreed = [one.agreed for one in found]
        assert all(at is not None for at in agreed)
        assert max(at or 0 for at in agreed) - min(at or 0 for at in agreed) < 0.02
        late = [(one.started or 0) - (one.agreed or 0) for one in found]
        assert min(late) >= 0
        assert max(late) < 0.5  # a busy machine wakes a process late
    closed, opened = windows(runs, "n01"), windows(runs, "open")
    assert [one.planned for one in closed] == [2, 2, 2]
    assert sum(one.planned for one in opened) == 30
    dues = sorted(job.due for job in all_jobs(tmp_path) if job.case == "open")
    assert [later - earlier for earlier, later in itertools.pairwise(dues)] == pytest.approx([1 / 30] * 29, abs=0.02)
    for run in runs:
        conditions = read_conditions(tmp_path / f"{run.replica}of3")
        assert conditions is not None
        readings = conditions.readings(STORE_CLOCK)
        assert [one.when for one in readings] == ["before", "after"]
        assert all(abs(one.offset) <= one.error + 0.005 and 0 < one.error < 0.05 for one in readings)


async def test_a_generator_that_fails_ends_the_others_with_its_reason(store: str) -> None:
    found = await asyncio.gather(*(join_as(store, index, 2, "run-2", limit=10) for index in range(2)))
    first, second = (one for one in found if one is not None)
    await second.close("the run cannot be written")
    with pytest.raises(ReplicaError, match="replica 2 of 2 ended early: the run cannot be written"):
        await first.instant("case", Clock.start(), asyncio.Event())
    await first.close()
