"""Instances that share a store, and jobs of lost instances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from reelbench.service.metrics import Metrics
from reelbench.service.store.assets import Assets
from reelbench.service.store.connection import Connection, StoreError
from reelbench.service.store.leases import Heartbeat, Leases
from reelbench.service.store.store import Store
from tests.service.waiting import until

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
SHARED = "redis://shared"
NONE = {"run_id": "", "scenario": "", "case": ""}
LOST = {
    "code": "service_lost",
    "message": "The instance that worked on this video stopped answering before it was complete; create it again.",
}
VIDEO = b'{"id": "v1", "status": "in_progress", "completed_at": null, "error": null, "prompt": "x", "later": 1}'
MANIFEST = b'{"video_id": "v1", "status": "in_progress", "content": null, "timings": {"created": 1.0, "ended": null}}'
WITH_CONTENT = MANIFEST.replace(b'"content": null', b'"content": {"path": "content.mp4"}')
LONG = 3600.0


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds


class Instance:
    """One instance that uses the store."""

    def __init__(self, name: str, server: FakeServer, data: Path) -> None:
        self.reader = InMemoryMetricReader()
        metrics = Metrics(MeterProvider([self.reader]).get_meter("test"))
        self.store = Store(Connection(FakeAsyncRedis(server=server), metrics), instance=name)
        self.clock = Time()
        self.assets = Assets(data)
        self.owned: set[str] = set()
        self.expired: list[float] = []
        self.heartbeat = Heartbeat(
            self.store,
            instance=name,
            seconds=9.0,
            clock=self.clock,  # type: ignore[arg-type]
            on_lease_expired=self._on_lease_expired,
        )
        self.leases = Leases(
            self.store,
            self.assets,
            self.heartbeat,
            owns=self.owned.__contains__,
            metrics=metrics,
            clock=self.clock,  # type: ignore[arg-type]
        )

    async def _on_lease_expired(self) -> None:
        self.expired.append(self.clock.seconds)

    def lost(self) -> int:
        data: Any = self.reader.get_metrics_data()
        return sum(
            point.value
            for resource in (data.resource_metrics if data else ())
            for metric in resource.scope_metrics[0].metrics
            if metric.name == "video.jobs.lost"
            for point in metric.data.data_points
        )


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def redis(server: FakeServer) -> FakeRedis:
    """Another client of the same store, for the test."""
    return FakeRedis(server=server)


@pytest.fixture
async def instance(server: FakeServer, tmp_path: Path) -> AsyncIterator[Callable[[str], Instance]]:
    made: list[Instance] = []

    def make(name: str) -> Instance:
        made.append(Instance(name, server, tmp_path))
        return made[-1]

    yield make
    for one in made:
        await one.store.close()


async def test_a_heartbeat_lasts_for_the_lease(instance: Any, redis: FakeRedis) -> None:
    a = instance("a")
    assert not a.heartbeat.lapsed
    await a.heartbeat.renew()
    assert 8500 < redis.pttl("reelbench:instance:a") <= 9000
    a.clock.seconds += 8.9
    assert not a.heartbeat.lapsed
    a.clock.seconds += 0.2
    assert a.heartbeat.lapsed
    await a.heartbeat.renew()
    assert not a.heartbeat.lapsed
    await a.leases.close()
    assert redis.keys() == []


async def test_a_job_of_a_lost_instance_fails_at_the_second_sweep(
    instance: Any, redis: FakeRedis, tmp_path: Path
) -> None:
    a, b = instance("a"), instance("b")
    await a.store.add("v1", 1, VIDEO, MANIFEST)
    await a.store.add("v2", 2, VIDEO, WITH_CONTENT)
    await b.store.add("v3", 3, VIDEO, MANIFEST)
    assert redis.hgetall("reelbench:owners") == {b"v1": b"a", b"v2": b"a", b"v3": b"b"}
    for name in ("v1", "v2", "v3"):
        (tmp_path / name).mkdir()
    b.owned.add("v3")
    await a.heartbeat.renew()
    assert [await b.leases.sweep() for _ in range(3)] == [0, 0, 0]
    redis.delete("reelbench:instance:a")
    b.clock.seconds = 2000.5
    assert await b.leases.sweep() == 0
    assert await b.leases.sweep() == 2
    video, manifest = (orjson.loads(await b.store.video("v1")), orjson.loads(await b.store.manifest("v1")))
    assert video == orjson.loads(VIDEO) | {"status": "failed", "error": LOST}
    assert manifest == orjson.loads(MANIFEST) | {"status": "failed", "timings": {"created": 1.0, "ended": 2000.5}}
    assert orjson.loads(await b.store.video("v3"))["status"] == "in_progress"
    assert redis.hgetall("reelbench:owners") == {b"v3": b"b"}
    # The file of the finished job remains; all files of the other job are removed.
    assert [b.assets.exists(name) for name in ("v1", "v2", "v3")] == [False, True, True]
    assert b.lost() == 2
    assert [name for name, _ in (await b.store.page(None, 9, descending=False))[0]] == ["v1", "v2", "v3"]
    # The instance was only paused: its later writes change nothing.
    assert await a.store.update("v1", VIDEO, MANIFEST) == "ended"
    assert await a.store.update("v1", b'{"status": "completed"}', MANIFEST, terminal=True) == "ended"
    assert orjson.loads(await b.store.video("v1")) == video


async def test_exactly_one_of_many_sweepers_ends_a_job(instance: Any) -> None:
    await instance("gone").store.add("v1", 1, VIDEO, MANIFEST)
    sweepers = [instance(f"s{number}") for number in range(5)]
    for sweeper in sweepers:
        await sweeper.heartbeat.renew()
    assert await asyncio.gather(*(sweeper.leases.sweep() for sweeper in sweepers)) == [0] * 5
    assert sorted(await asyncio.gather(*(sweeper.leases.sweep() for sweeper in sweepers))) == [0, 0, 0, 0, 1]
    assert sorted(sweeper.lost() for sweeper in sweepers) == [0, 0, 0, 0, 1]
    assert orjson.loads(await sweepers[0].store.video("v1"))["error"] == LOST


@pytest.mark.parametrize("change", ["beat", "end", "delete", "progress"])
async def test_an_owner_that_acts_during_the_sweep_keeps_its_job(instance: Any, redis: FakeRedis, change: str) -> None:
    a, b = instance("a"), instance("b")
    await a.store.add("v1", 1, VIDEO, MANIFEST)

    def last(_video: bytes, manifest: bytes) -> tuple[bytes, bytes]:
        # Between the sweeper's read and its write.
        if change == "beat":
            redis.set("reelbench:instance:a", b"1")
        elif change == "progress":
            redis.set("reelbench:video:v1:live", b"progress")
        elif change == "end":
            redis.rename("reelbench:video:v1:live", "reelbench:video:v1")
        else:
            redis.delete("reelbench:video:v1:live")
        return b"lost", manifest

    assert await b.store.end("v1", "a", last) is None
    expected = {"beat": VIDEO, "end": VIDEO, "delete": None, "progress": b"progress"}
    assert await b.store.video("v1") == expected[change]


async def test_owners_can_renew_after_an_outage_longer_than_a_lease(
    instance: Any, server: FakeServer, redis: FakeRedis
) -> None:
    a, b = instance("a"), instance("b")
    await a.store.add("v1", 1, VIDEO, MANIFEST)
    await a.heartbeat.renew()
    redis.delete("reelbench:instance:a")
    assert await b.leases.sweep() == 0
    server.connected = False
    with pytest.raises(StoreError):
        await b.leases.sweep()
    server.connected = True
    for one in (a, b):
        one.store.returned()
    await a.heartbeat.renew()
    assert await b.leases.sweep() == 0
    assert await b.leases.sweep() == 0
    assert orjson.loads(await b.store.video("v1"))["status"] == "in_progress"


async def test_an_unknown_job_of_the_own_instance_is_failed(instance: Any) -> None:
    a = instance("a")
    await a.heartbeat.renew()
    await a.store.add("v1", 1, VIDEO, MANIFEST)
    assert [await a.leases.sweep(), await a.leases.sweep(), await a.leases.sweep()] == [0, 1, 0]


async def test_an_instance_detects_that_its_lease_had_expired(instance: Any, redis: FakeRedis) -> None:
    a = instance("a")
    await a.heartbeat.renew()
    await a.heartbeat.renew()
    assert a.expired == []
    redis.delete("reelbench:instance:a")
    a.clock.seconds += 20
    await a.heartbeat.renew()
    assert a.expired == [1020.0]


@pytest.fixture
def shared_store(monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> FakeServer:
    monkeypatch.setattr("reelbench.service.api.app_state.connect", lambda *_: FakeAsyncRedis(server=server))
    return server


@pytest.mark.extended
@pytest.mark.parametrize("at", ["beat", "write"])
def test_a_paused_service_adopts_the_states_that_others_wrote(
    start: Callable[..., Any], providers: Any, shared_store: FakeServer, tmp_path: Path, at: str
) -> None:
    """The heartbeat interval is 20 minutes, so the service detects the loss after an outage or at its next write."""
    redis = FakeRedis(server=shared_store)
    paused = start(redis_url=SHARED, lease_seconds=LONG, workers=1, data_dir=tmp_path / "paused")
    providers.gate.clear()
    running, waiting = (HTTP.post(f"{paused.url}/v1/videos", json={"prompt": "x"}).json()["id"] for _ in range(2))
    until(lambda: providers.calls["llm"] == 1, "the job runs")
    (beat,) = redis.keys("reelbench:instance:*")
    redis.delete(beat)
    other = start(redis_url=SHARED, lease_seconds=0.15, data_dir=tmp_path / "other")
    for name in (running, waiting):
        until(lambda name=name: show(other, name)["status"] == "failed", "the other service has ended the jobs")
        assert show(other, name)["error"] == LOST
    assert other.points("video.jobs.lost") == [({}, 2)]
    if at == "beat":
        shared_store.connected = False
        assert HTTP.get(f"{paused.url}/v1/videos").status_code == 503
        shared_store.connected = True
    else:
        providers.gate.set()
    for name in (running, waiting):
        until(lambda name=name: show(paused, name)["error"] == LOST, "the paused service has stopped its jobs")
    until(lambda: not list(paused.data_dir.glob("video_*")), "its files are gone")
    assert paused.points("video.jobs") == [({"outcome": "failed", **NONE}, 2)]
    until(lambda: HTTP.get(f"{other.url}/v1/videos").status_code == 200, "the other service uses the store again")
    assert {show(other, name)["status"] for name in (running, waiting)} == {"failed"}
    if at == "beat":
        until(lambda: providers.cut_off["llm"] == 1, "its call is cut")


def test_jobs_survive_an_outage_longer_than_the_lease(
    start: Callable[..., Any], providers: Any, shared_store: FakeServer, redis: FakeRedis, tmp_path: Path
) -> None:
    services = [start(redis_url=SHARED, lease_seconds=1.5, data_dir=tmp_path / name) for name in ("a", "b")]
    providers.gate.clear()
    jobs = [HTTP.post(f"{one.url}/v1/videos", json={"prompt": "x"}).json()["id"] for one in services]
    until(lambda: providers.calls["llm"] == 2, "both jobs run")
    shared_store.connected = False
    jobs += [HTTP.post(f"{one.url}/v1/videos", json={"prompt": "x"}).json()["id"] for one in services]
    shared_store.connected = True
    redis.delete(*redis.keys("reelbench:instance:*"))
    providers.gate.set()
    for name, one in zip(jobs, services * 2, strict=True):
        until(lambda one=one: HTTP.get(f"{one.url}/v1/videos").status_code == 200, "the store is back")
        assert HTTP.get(f"{one.url}/v1/videos/{name}/wait").json()["status"] == "completed"
    shown = [HTTP.get(f"{one.url}/v1/videos?order=asc").json()["data"] for one in services]
    assert [[(video["id"], video["status"]) for video in data] for data in shown] == [
        [(name, "completed") for name in jobs]
    ] * 2
    assert [one.points("video.jobs.lost") for one in services] == [[], []]


def test_a_job_can_end_during_an_outage_after_its_lease_expired(
    start: Callable[..., Any], providers: Any, shared_store: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(redis_url=SHARED, lease_seconds=LONG)
    providers.gate.clear()
    job = HTTP.post(f"{running.url}/v1/videos", json={"prompt": "x"}).json()["id"]
    until(lambda: providers.calls["llm"] == 1, "the job runs")
    shared_store.connected = False
    assert HTTP.get(f"{running.url}/v1/videos").status_code == 503
    monkeypatch.setattr(Heartbeat, "lapsed", property(lambda _: True))
    monkeypatch.setattr(Store, "ended", lambda *_: pytest.fail("the store was asked"))
    providers.gate.set()
    assert HTTP.get(f"{running.url}/v1/videos/{job}/wait").json()["status"] == "completed"
    assert running.points("video.jobs") == [({"outcome": "completed", **NONE}, 1)]


def test_a_job_needs_three_round_trips_to_a_shared_store(
    start: Callable[..., Any], create: Callable[..., Any], shared_store: FakeServer
) -> None:
    running = start(redis_url=SHARED, lease_seconds=LONG)
    until(lambda: len(running.points("db.client.operation.duration")) == 2, "the first beat and look")

    def trips() -> dict[Any, int]:
        return {
            labels["db.operation.name"]: point[0] for labels, point in running.points("db.client.operation.duration")
        }

    before = trips()
    assert before == {"SET": 1, "HGETALL": 1}
    assert create(running)["status"] == "completed"
    assert trips() == {"SET": 4, "HGETALL": 1}


def show(running: Any, name: str) -> Any:
    return HTTP.get(f"{running.url}/v1/videos/{name}").json()
