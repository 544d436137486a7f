from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from fakeredis import TcpFakeServer
from hypothesis import given
from hypothesis import strategies as st

from reelbench.loadgen.drive import replicas
from reelbench.loadgen.drive.replicas import Replica, ReplicaError, Share, join
from reelbench.stack.endpoints import free_ports


@pytest.fixture
def store() -> Iterator[str]:
    (port,) = free_ports(1)
    server = TcpFakeServer(("127.0.0.1", port), server_type="redis")
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"redis://127.0.0.1:{port}/0"
    server.shutdown()
    server.server_close()


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


async def test_a_dead_replica_is_detected(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "ALIVE", 1)
    monkeypatch.setattr(replicas, "_HEARTBEAT", 0.2)
    first, second = await asyncio.gather(joined(store), joined(store))
    stop = asyncio.Event()
    await second.close()
    with pytest.raises(ReplicaError, match=f"replica {second.share.index + 1} of 2 is gone"):
        await first.together("a", stop)
    await first.close()


async def test_the_user_can_interrupt_the_wait(store: str) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(join(store, quiet=60, stop=stop))
    await asyncio.sleep(0.3)
    stop.set()
    assert await asyncio.wait_for(waiting, 2) is None
    alone = await joined(store)
    assert alone.share == Share(0, 1)  # replicas that left are not counted
    later = asyncio.create_task(alone.together("a", stop))
    await asyncio.wait_for(later, 2)
    await alone.close()


async def test_no_store_is_one_clear_error() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ReplicaError, match=r"does not answer .*; check --rendezvous"):
        await join(f"redis://127.0.0.1:{port}/0")
