from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.drive import meeting, replicas
from reelbench.loadgen.drive.meeting import join, join_as
from reelbench.loadgen.drive.replicas import LEAD_SECONDS, Replica, ReplicaError, Share
from reelbench.loadgen.option_line import Options
from reelbench.loadgen.options import OptionsError, check_options
from reelbench.stack.endpoints import free_ports


@given(jobs=st.integers(0, 300), concurrency=st.integers(1, 60), count=st.integers(1, 9))
def test_shares_are_disjoint_and_complete(jobs: int, concurrency: int, count: int) -> None:
    shares = [Share(index, count) for index in range(count)]
    owned = [[job for job in range(jobs) if share.owns(job, concurrency)] for share in shares]
    assert sorted(job for part in owned for job in part) == list(range(jobs))
    assert sum(share.users(concurrency) for share in shares) == concurrency
    assert all(share.users(concurrency) for share, part in zip(shares, owned, strict=True) if part)
    assert max(map(len, owned)) - min(map(len, owned)) <= -(-jobs // concurrency)


async def joined(store: str, run_id: str | None = None) -> Replica:
    replica = await join(store, run_id, quiet=0.3)
    assert replica is not None
    return replica


async def placed(store: str, index: int, count: int, run_id: str | None = None, limit: float = 5.0) -> Replica:
    replica = await join_as(store, index, count, run_id, limit=limit)
    assert replica is not None
    return replica


async def three(store: str, run_id: str | None = None) -> list[Replica]:
    return await asyncio.gather(*(placed(store, index, 3, run_id) for index in (2, 0, 1)))


async def closed(found: list[Replica]) -> None:
    await asyncio.gather(*(replica.close() for replica in found))


async def test_replicas_agree_on_one_run_and_begin_together(store: str) -> None:
    found = await asyncio.gather(*(joined(store) for _ in range(3)))
    stop = asyncio.Event()
    assert {replica.name for replica in found} == {"1of3", "2of3", "3of3"}
    assert len({replica.run_id for replica in found}) == 1
    order: list[str] = []

    async def late(replica: Replica) -> None:
        await asyncio.sleep(0.2)
        order.append("late")
        await replica.together("a", stop)

    async def early(replica: Replica) -> None:
        await replica.together("a", stop)
        order.append("early")

    await asyncio.gather(early(found[0]), early(found[1]), late(found[2]))
    assert order == ["late", "early", "early"]
    await closed(found)
    alone = await joined(store, "again")
    assert (alone.run_id, alone.share) == ("again", Share(0, 1))
    await alone.close()


async def test_replicas_of_a_known_number_meet_by_their_index_without_a_quiet_window(store: str) -> None:
    begun = asyncio.get_running_loop().time()
    found = await three(store, "run-7")
    assert asyncio.get_running_loop().time() - begun < meeting.QUIET / 2
    assert [(one.run_id, one.share, one.leads) for one in found] == [
        ("run-7", Share(2, 3), False),
        ("run-7", Share(0, 3), True),
        ("run-7", Share(1, 3), False),
    ]
    with pytest.raises(ReplicaError, match=r"the run run-7 has begun already: replica 1 of 3, from 0, cannot join"):
        await join_as(store, 1, 3, "run-7", limit=5)
    await closed(found)
    unnamed = await three(store)
    assert len({one.run_id for one in unnamed}) == 1
    await closed(unnamed)


async def test_replicas_that_do_not_come_are_named(store: str) -> None:
    stopped = asyncio.Event()
    other = asyncio.create_task(join_as(store, 2, 4, "run-8", stop=stopped, limit=60))
    with pytest.raises(ReplicaError, match=r"replicas 1, 3 of 4, from 0, did not come within 0\.5 s; start all"):
        await join_as(store, 0, 4, "run-8", limit=0.5)
    stopped.set()
    assert await other is None


async def test_replicas_that_disagree_on_their_number_are_refused(store: str) -> None:
    ends = await asyncio.gather(
        join_as(store, 0, 2, "run-9", limit=5), join_as(store, 1, 3, "run-9", limit=5), return_exceptions=True
    )
    assert [str(end) for end in ends] == [
        "--replicas: is 2 for replica 0 and 3 for replica 1; give all replicas the same number"
    ] * 2


async def test_one_index_twice_is_refused_and_a_dead_replica_can_be_replaced(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "ALIVE", 1)
    first = asyncio.create_task(join_as(store, 1, 2, "run-10", limit=60))
    await asyncio.sleep(0.3)
    with pytest.raises(ReplicaError, match="replica 1 of 2, from 0, is there twice; give each another --index"):
        await join_as(store, 1, 2, "run-10", limit=60)
    first.cancel()  # without leaving: its heartbeat ends
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.sleep(1.2)
    found = await asyncio.gather(placed(store, 0, 2, "run-10"), placed(store, 1, 2, "run-10"))
    assert [one.share.index for one in found] == [0, 1]
    await closed(list(found))


async def test_all_begin_at_one_instant_of_the_clock_of_the_store(store: str) -> None:
    found = sorted(await three(store), key=lambda one: one.share.index)
    stop = asyncio.Event()
    clocks = [Clock.start(), _ahead(3.0), _ahead(-0.7)]
    before = clocks[0].now()
    instants = await asyncio.gather(
        *(one.instant("case", clock, stop) for one, clock in zip(found, clocks, strict=True))
    )
    assert all(instant is not None for instant in instants)
    on_one_clock = [(instant or 0) - ahead for instant, ahead in zip(instants, (0.0, 3.0, -0.7), strict=True)]
    assert max(on_one_clock) - min(on_one_clock) < 0.02
    assert before + LEAD_SECONDS <= min(on_one_clock) < before + LEAD_SECONDS + 20
    offsets = [await one.clock.compare(clock) for one, clock in zip(found, clocks, strict=True)]
    assert [round(offset[0], 1) for offset in offsets if offset] == [0.0, -3.0, 0.7]
    assert all(offset is not None and offset[1] < 0.05 for offset in offsets)
    await closed(found)


def _ahead(seconds: float) -> Clock:
    now = Clock.start()
    return Clock(seconds, 0.0, now.now)


async def test_ids_of_all_reach_the_first_alone(store: str) -> None:
    found = sorted(await three(store), key=lambda one: one.share.index)
    stop = asyncio.Event()
    ids = [{f"{one.share.index}-{number}" for number in range(1500)} for one in found]
    got = await asyncio.gather(*(one.gathered("ended", mine, stop) for one, mine in zip(found, ids, strict=True)))
    assert [len(some) for some in got] == [4500, 0, 0]
    assert got[0] == set().union(*ids)
    await closed(found)


async def test_a_number_is_found_once_and_shared(store: str) -> None:
    found = sorted(await three(store), key=lambda one: one.share.index)
    calls: list[int] = []

    async def measured(index: int) -> float:
        calls.append(index)
        return 0.1 + index

    values = await asyncio.gather(
        *(one.shared("took", lambda index=one.share.index: measured(index), asyncio.Event()) for one in found)  # type: ignore[misc]
    )
    assert (values, calls) == ([0.1, 0.1, 0.1], [0])
    await closed(found)


async def test_different_plans_are_refused(store: str) -> None:
    found = sorted(await three(store), key=lambda one: one.share.index)
    stop = asyncio.Event()
    hashes = ["aaaa", "aaaa", "bbbb"]
    ends = await asyncio.gather(
        *(one.check_plan(text, stop) for one, text in zip(found, hashes, strict=True)), return_exceptions=True
    )
    assert ends[:2] == [None, None]
    assert str(ends[2]).startswith("the plan of replica 3 is not the plan of replica 1; give all replicas the same")
    await found[2].close(str(ends[2]))
    with pytest.raises(ReplicaError, match="replica 3 of 3 ended early: the plan of replica 3 is not the plan"):
        await found[0].together("next", stop)
    await closed(found[:2])


async def test_a_dead_replica_is_detected(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "ALIVE", 1)
    monkeypatch.setattr(replicas, "_HEARTBEAT", 0.2)
    found = sorted(await three(store), key=lambda one: one.share.index)
    stop = asyncio.Event()
    await closed(found[1:])
    with pytest.raises(ReplicaError, match=re.escape("replicas 2, 3 of 3 are gone, and a part of the plan with it")):
        await found[0].together("a", stop)
    await found[0].close()


async def test_the_user_can_interrupt_the_wait(store: str) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(join(store, quiet=60, stop=stop))
    await asyncio.sleep(0.3)
    stop.set()
    assert await asyncio.wait_for(waiting, 30) is None
    alone = await joined(store)
    assert alone.share == Share(0, 1)  # replicas that left are not counted
    later = asyncio.create_task(alone.together("a", stop))
    await asyncio.wait_for(later, 30)
    await alone.close()


async def test_no_store_is_one_clear_error() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ReplicaError, match=r"does not answer .*; check --rendezvous"):
        await join(f"redis://127.0.0.1:{port}/0")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"replicas": 3}, ["--replicas: needs --rendezvous", "--index: is missing; give each replica its number"]),
        ({"replicas": 3, "index": 3, "rendezvous": "redis://h/0"}, ["--index: is 3; use 0 to 2"]),
        ({"replicas": 0, "index": 0, "rendezvous": "redis://h/0"}, ["--replicas: is 0; use 1 to 10,000"]),
        (
            {"replicas": 2, "index": 1, "rendezvous": "redis://h/0", "join_limit": 0.0},
            ["--join-limit: is 0; use seconds"],
        ),
    ],
)
def test_wrong_numbers_of_replicas_are_named(given: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as raised:
        check_options(tmp_path / "run", "run-1", Options(target="http://127.0.0.1:1"), **given)
    assert [error[: len(part)] for error, part in zip(raised.value.errors, words, strict=True)] == words


def test_an_index_of_a_job_of_the_cluster_alone_means_nothing(tmp_path: Path) -> None:
    settings = check_options(tmp_path / "run", "run-1", Options(target="http://127.0.0.1:1"), index=4)
    assert (settings.replicas, settings.index) == (None, None)


def test_a_default_choice_leaves_out_faults_of_the_network(tmp_path: Path) -> None:
    given = Options(target="http://127.0.0.1:1")
    alone = check_options(tmp_path / "run", "run-1", given)
    several = check_options(tmp_path / "run", "run-1", given, rendezvous="redis://h/0", replicas=3, index=0)
    left_out = {one.name for one in alone.scenarios} - {one.name for one in several.scenarios}
    assert left_out == {"network_faults"}
