"""The backlog for an unavailable store, step by step."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.metrics import Metrics
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.connection import Connection, StoreError
from reelbench.service.store.kept_states import KeptStates
from reelbench.service.store.spool import Spool
from reelbench.service.store.state import State, removal
from reelbench.service.store.store import Store

RUN = Correlation("r1", "store_outage", "1")


def state(name: str, sequence: int, status: str = "queued", write: str = "add") -> State:
    return State(
        id=name,
        sequence=sequence,
        write=write,  # type: ignore[arg-type]
        video=orjson.dumps({"id": name, "status": status, "completed_at": None, "error": None}),
        manifest=orjson.dumps({"status": status, "content": None, "timings": {"created": 1.0, "ended": None}}),
        terminal=status in {"completed", "failed"},
        correlation=RUN,
    )


class Process:
    """The store side of one process of the service."""

    def __init__(self, server: FakeServer, data: Path, limit: int = 100) -> None:
        self.reader = InMemoryMetricReader()
        metrics = Metrics(MeterProvider([self.reader]).get_meter("test"))
        wake_up = asyncio.Event()
        self.store = Store(Connection(FakeAsyncRedis(server=server), metrics, wake_up=wake_up), instance="a")
        self.spool = Spool(data)
        self.superseded: list[tuple[str, str]] = []
        self.backlog = Backlog(
            self.store,
            KeptStates(self.spool, metrics, wake_up),
            wake_up=wake_up,
            heartbeat=None,
            on_superseded=self._superseded,
            limit=limit,
            metrics=metrics,
            clock=Clock(),
        )

    async def _superseded(self, kept: State, written: str) -> None:
        self.superseded.append((kept.id, written))

    async def crash(self) -> None:
        """End like a killed process: the kernel releases the lock, and no cleanup runs."""
        if self.backlog._task is not None:
            self.backlog._task.cancel()
        if self.spool._handle is not None:
            os.close(self.spool._handle)
            self.spool._handle = None
        await self.store.close()

    async def shown(self) -> list[tuple[str, str]]:
        page = await self.store.page(None, 100, descending=False)
        assert page is not None
        return [(name, orjson.loads(video)["status"]) for name, video in page[0]]

    def points(self, name: str) -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        return [
            (dict(point.attributes), point.value)
            for resource in (data.resource_metrics if data else ())
            for metric in resource.scope_metrics[0].metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def process(server: FakeServer, tmp_path: Path) -> AsyncIterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(limit: int = 100) -> Process:
        made.append(Process(server, tmp_path, limit))
        return made[-1]

    yield make
    for one in made:
        await one.crash()


def files(data: Path) -> list[str]:
    return sorted(path.stem for path in data.glob(".unsaved/*/*.json"))


async def test_kept_states_are_written_back_in_order_of_sequence(
    process: Any, server: FakeServer, tmp_path: Path
) -> None:
    a = process()
    server.connected = False
    for name, sequence in (("c", 3), ("a", 1), ("b", 2)):
        await a.backlog.add(state(name, sequence))
    await a.backlog.update(state("b", 2, "completed", "update"))
    assert (len(a.backlog), a.store.away, files(tmp_path)) == (3, True, ["a", "b", "c"])
    assert not await a.backlog.restore()
    written: list[str] = []
    real = a.store.write_back

    async def write_back(kept: State) -> Any:
        written.append(kept.id)
        return await real(kept)

    a.store.write_back = write_back
    server.connected = True
    assert await a.backlog.restore()
    assert written == ["a", "b", "c"]
    assert (len(a.backlog), a.store.away, files(tmp_path)) == (0, False, [])
    assert await a.shown() == [("a", "queued"), ("b", "completed"), ("c", "queued")]
    assert await a.store.owners() == {"a": "a", "c": "a"}
    labels = RUN.attributes()
    assert a.points("video.store.deferred") == [(labels, 4)]
    assert a.points("video.store.written_back") == [(labels, 3)]
    assert a.points("video.jobs.unsaved") == [(labels, 0)]
    await a.backlog.close()
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_the_write_back_is_idempotent_after_a_crash_at_any_step(
    process: Any, server: FakeServer, tmp_path: Path
) -> None:
    first = process()
    await first.backlog.add(state("gone", 1, "queued"))
    server.connected = False
    kept = [state("a", 2, "completed"), state("b", 3), state("c", 4, "failed")]
    for one in kept:
        await first.backlog.add(one)
    await first.backlog.remove(removal("gone", 1, RUN), live=True, known=True)
    server.connected = True
    # Three states are in the store, but their files are not yet removed; the fourth is not stored.
    for one in (removal("gone", 1, RUN), kept[0], kept[1]):
        assert await first.store.write_back(one) == "written"
    await first.crash()
    assert files(tmp_path) == ["a", "b", "c", "gone"]
    for _ in range(2):
        second = process()
        await second.backlog.open()
        assert await second.shown() == [("a", "completed"), ("b", "failed"), ("c", "failed")]
        assert files(tmp_path) == []
        assert await second.store.owners() == {}
        assert second.superseded == []
        await second.crash()


async def test_states_of_ended_or_deleted_jobs_are_not_written_back(
    process: Any, server: FakeServer, tmp_path: Path
) -> None:
    a, b = process(), process()
    for name, sequence in (("ended", 1), ("deleted", 2)):
        await a.backlog.add(state(name, sequence))
    server.connected = False
    for name, sequence in (("ended", 1), ("deleted", 2)):
        assert await a.backlog.update(state(name, sequence, "completed", "update")) == "written"
    server.connected = True
    b.store.returned()
    assert await b.store.end("ended", "a", lambda _, manifest: (b'{"status": "failed"}', manifest)) is not None
    assert await b.store.delete("deleted")
    assert await a.backlog.restore()
    assert a.superseded == [("ended", "ended"), ("deleted", "deleted")]
    assert await a.shown() == [("ended", "failed")]
    assert files(tmp_path) == []


async def test_a_rejected_creation_leaves_no_record_even_if_the_store_accepted_it(
    process: Any, server: FakeServer, tmp_path: Path
) -> None:
    a = process(limit=0)
    real = a.store.add

    async def add(*arguments: Any) -> None:
        # The command is executed, and its answer is lost.
        await real(*arguments)
        server.connected = False
        await a.store.ping()

    a.store.add = add
    with pytest.raises(StoreError, match="no more than 0 jobs are kept"):
        await a.backlog.add(state("a", 1))
    assert (len(a.backlog), files(tmp_path)) == (0, [])
    server.connected = True
    assert await a.backlog.restore()
    assert await a.shown() == []
    assert await a.store.owners() == {}


async def test_a_creation_is_undone_when_its_request_is_cancelled(process: Any) -> None:
    a = process()
    real = a.store.add

    async def add(*arguments: Any) -> None:
        await real(*arguments)
        raise asyncio.CancelledError

    a.store.add = add
    with pytest.raises(asyncio.CancelledError):
        await a.backlog.add(state("a", 1))
    assert await a.backlog.restore()
    assert await a.shown() == []


async def test_no_later_state_restores_a_deleted_job(process: Any, server: FakeServer, tmp_path: Path) -> None:
    a = process()
    await a.backlog.add(state("a", 1))
    server.connected = False
    assert await a.backlog.remove(removal("a", 1, RUN), live=True, known=True)
    assert not await a.backlog.remove(removal("a", 1, RUN), live=True, known=True)
    await a.backlog.update(state("a", 1, "completed", "update"))
    await a.backlog.forget("a")
    assert (a.backlog.get("a").write, files(tmp_path)) == ("remove", ["a"])
    server.connected = True
    assert await a.backlog.restore()
    assert await a.shown() == []


async def test_a_removal_counts_against_the_limit_only_for_jobs_of_other_processes(
    process: Any, server: FakeServer
) -> None:
    a = process(limit=1)
    await a.backlog.add(state("live", 1))
    server.connected = False
    await a.backlog.add(state("kept", 2))
    with pytest.raises(StoreError, match="no more than 1 jobs are kept"):
        await a.backlog.remove(removal("old", 0, RUN), live=False, known=True)
    with pytest.raises(StoreError, match="only it knows of this video"):
        await a.backlog.remove(removal("other", 0, RUN), live=False, known=False)
    assert await a.backlog.remove(removal("live", 1, RUN), live=True, known=True)
    assert await a.backlog.remove(removal("kept", 2, RUN), live=False, known=True)
    assert len(a.backlog) == 2


async def test_states_that_arrive_during_the_write_back_are_written_too(process: Any, server: FakeServer) -> None:
    a = process()
    server.connected = False
    for number in range(20):
        await a.backlog.add(state(f"v{number:02}", number))
    server.connected = True

    async def work() -> None:
        for number in range(20):
            await a.backlog.update(state(f"v{number:02}", number, "completed", "update"))
            await a.backlog.add(state(f"w{number:02}", 100 + number))

    await asyncio.gather(work(), a.backlog.restore())
    assert await a.backlog.restore()
    assert await a.shown() == [
        *((f"v{number:02}", "completed") for number in range(20)),
        *((f"w{number:02}", "queued") for number in range(20)),
    ]


async def test_a_job_is_readable_throughout_the_write_back(process: Any, server: FakeServer) -> None:
    a = process()
    server.connected = False
    kept = [state(f"v{number}", number, "completed") for number in range(5)]
    for one in kept:
        await a.backlog.add(one)
    real = a.store.write_back
    seen: list[list[bytes | None]] = []

    async def write_back(one: State) -> Any:
        written = await real(one)
        shown = [found.video if (found := a.backlog.get(each.id)) else await a.store.video(each.id) for each in kept]
        seen.append(shown)
        with pytest.raises(StoreError, match="away"):
            await a.store.page(None, 9, descending=False)
        return written

    a.store.write_back = write_back
    server.connected = True
    assert await a.backlog.restore()
    assert seen == [[one.video for one in kept]] * 5


async def test_states_reach_the_store_despite_a_full_disk_at_start(
    process: Any, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = process()
    server.connected = False
    await first.backlog.add(state("a", 1, "completed"))
    await first.crash()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Spool, "_open", full)
    server.connected = True
    second = process()
    await second.backlog.open()
    assert await second.shown() == [("a", "completed")]


def test_only_folders_of_ended_processes_are_taken_over(tmp_path: Path) -> None:
    living, gone, heir = Spool(tmp_path), Spool(tmp_path), Spool(tmp_path)
    living.write(state("a", 1))
    gone.write(state("c", 3))
    gone.write(state("b", 2))
    os.close(gone._handle)  # type: ignore[arg-type]
    assert heir.adopt() == [state("b", 2), state("c", 3)]
    assert heir.adopt() == []
    living.close()
    assert files(tmp_path) == ["a", "b", "c"]
    assert heir.adopt() == [state("a", 1)]
    for name in "abc":
        heir.discard(name)
    heir.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(5))
async def test_randomly_lost_commands_or_answers_do_not_change_the_result(
    process: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Three of ten transactions fail, half of them after the store has executed them."""
    chance = random.Random(seed)
    real = Pipeline.execute

    async def execute(*arguments: Any, **options: Any) -> Any:
        drawn = chance.random()
        if drawn < 0.15:
            raise RedisConnectionError("lost on the way")
        answer = await real(*arguments, **options)
        if drawn < 0.3:
            raise RedisConnectionError("the answer got lost")
        return answer

    monkeypatch.setattr(Pipeline, "execute", execute)
    a = process()

    async def live(number: int) -> None:
        name = f"v{number:02}"
        await a.backlog.add(state(name, number))
        assert await a.backlog.update(state(name, number, "in_progress", "update")) == "written"
        if number % 3:
            assert await a.backlog.update(state(name, number, "completed", "update")) == "written"
        else:
            await a.backlog.remove(removal(name, number, RUN), live=True, known=True)

    await asyncio.gather(*map(live, range(60)))
    monkeypatch.setattr(Pipeline, "execute", real)
    assert await a.backlog.restore()
    assert await a.shown() == [(f"v{number:02}", "completed") for number in range(60) if number % 3]
    assert await a.store.owners() == {}
    assert a.superseded == []
    assert a.points("video.jobs.unsaved") == [(RUN.attributes(), 0)]


async def test_removing_a_kept_state_is_retried_and_the_state_is_not_used(
    process: Any, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = process()
    await a.backlog.open()
    server.connected = False
    await a.backlog.add(state("one", 1))
    refusals = [OSError(errno.EIO, "broken")]
    discard = a.spool.discard

    def once(video_id: str) -> None:
        if refusals:
            raise refusals.pop()
        discard(video_id)

    monkeypatch.setattr(a.spool, "discard", once)
    server.connected = True
    deadline = asyncio.get_running_loop().time() + 5
    while files(tmp_path):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    assert refusals == []
    assert await a.shown() == [("one", "queued")]
