"""Faults of the store: exact counts over HTTP, and the errors that a client of a real store would get."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reelbench.service.api.app import create_app
from reelbench.service.faults.faults import Faults
from reelbench.service.faults.plan import Plan, Rule
from reelbench.service.metrics import Metrics
from reelbench.service.settings import Settings
from reelbench.service.store.connection import Connection, StoreError, connect
from reelbench.service.store.faults import OFFER, StoreFaults
from reelbench.service.store.store import Store
from tests.service.waiting import until

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
UNKNOWN = "video_" + "0" * 32


def put(running: Any, *rules: dict[str, object], seed: int = 1, **more: object) -> Any:
    plan = {"seed": seed, "rules": [{"provider": "store", **rule} for rule in rules], **more}
    answer = HTTP.put(f"{running.url}/faults", json=plan)
    assert answer.status_code == 200, answer.text
    return answer.json()


def asked(running: Any) -> httpx.Response:
    """One round trip to the store."""
    return HTTP.get(f"{running.url}/v1/videos/{UNKNOWN}")


class Injected:
    """A store with a server in this process and a fault plan."""

    def __init__(self, timeout: float) -> None:
        self.faults = Faults(OFFER)
        self.meters = MeterProvider([InMemoryMetricReader()])
        metrics = Metrics(self.meters.get_meter("test"))
        self.store = Store(Connection(connect("", 1.0), metrics, faults=StoreFaults(self.faults, timeout)))

    def plan(self, kind: str, **fields: Any) -> None:
        life = fields.pop("lifetime", None)
        self.faults.replace(Plan(1, (Rule("store", kind, **fields),), life))

    async def cause(self) -> BaseException | None:
        self.store.returned()
        with pytest.raises(StoreError) as caught:
            await self.store.video("a")
        return caught.value.__cause__


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Injected]]:
    made: list[Injected] = []

    def new(timeout: float = 2.0) -> Injected:
        made.append(Injected(timeout))
        return made[-1]

    yield new
    for one in made:
        await one.store.close()
        one.meters.shutdown()


async def test_thirty_percent_of_twenty_round_trips_is_six(make: Callable[..., Injected]) -> None:
    injected = make()
    patterns = []
    for _ in range(2):
        injected.plan("error", rate=0.3)
        pattern = ""
        for _ in range(20):
            injected.store.returned()
            try:
                await injected.store.video("a")
            except StoreError:
                pattern += "x"
            else:
                pattern += "."
        patterns.append(pattern)
    assert patterns[0].count("x") == 6
    assert patterns[0] == patterns[1]


def test_errors_follow_the_schedule_over_the_wire(start: Callable[..., Any]) -> None:
    running = start(faults=True)
    rule = {"provider": "store", "kind": "error", "rate": 0.3}
    before = put(running, {"kind": "error", "rate": 0.3})
    assert before["rules"] == [rule | {"seen": 0, "hit": 0}]
    answers = [asked(running) for _ in range(40)]
    (first, *_) = [answer for answer in answers if answer.status_code == 503]
    assert first.json()["error"] == {
        "message": "The job store failed at MGET: RedisError.",
        "type": "server_error",
        "param": None,
        "code": "store_unavailable",
    }
    assert {answer.status_code for answer in answers} == {404, 503}
    (final,) = HTTP.delete(f"{running.url}/faults").json()["rules"]
    # While the store is marked as away, it only gets pings, so its count differs from the number of requests.
    assert 3 * (final["seen"] // 10) <= final["hit"] <= 3 * math.ceil(final["seen"] / 10)
    until(lambda: asked(running).status_code == 404, "the store is back")


def test_an_outage_takes_the_store_away_until_it_is_lifted(start: Callable[..., Any]) -> None:
    running = start(faults=True)
    put(running, {"kind": "outage"}, lifetime=60)
    assert HTTP.get(f"{running.url}/faults").json()["lifetime"] == 60
    started = time.monotonic()
    assert [asked(running).status_code for _ in range(5)] == [503] * 5
    assert time.monotonic() - started < 20, "no request waits for the store"
    assert HTTP.get(f"{running.url}/ready").status_code == 200, "new jobs are kept on disk"
    assert HTTP.get(f"{running.url}/health").status_code == 200
    HTTP.delete(f"{running.url}/faults")
    until(lambda: asked(running).status_code == 404, "the store is back")


def test_a_stall_over_the_wire_ends_when_the_plan_is_lifted(start: Callable[..., Any]) -> None:
    running = start(faults=True, redis_timeout=10)
    put(running, {"kind": "stall"})
    answers: list[int] = []
    waiters = [threading.Thread(target=lambda: answers.append(asked(running).status_code)) for _ in range(3)]
    started = time.monotonic()
    for waiter in waiters:
        waiter.start()
    while HTTP.get(f"{running.url}/faults").json()["rules"][0]["hit"] < 3:
        assert time.monotonic() - started < 5
    assert answers == []
    HTTP.delete(f"{running.url}/faults")
    for waiter in waiters:
        waiter.join(60)
    assert answers == [404] * 3
    assert time.monotonic() - started < 5


async def test_errors_of_each_fault_kind(make: Callable[..., Injected]) -> None:
    injected = make(timeout=0.05)
    for kind, fields, error in (
        ("outage", {}, RedisConnectionError),
        ("error", {}, RedisError),
        ("stall", {"seconds": 60}, RedisTimeoutError),
        ("latency", {"seconds": 60}, RedisTimeoutError),
    ):
        injected.plan(kind, **fields)
        assert type(await injected.cause()) is error


async def test_a_failed_round_trip_does_not_reach_the_store(make: Callable[..., Injected]) -> None:
    injected = make(timeout=0.02)
    for kind in ("outage", "error", "stall"):
        injected.plan(kind, seconds=60)
        with pytest.raises(StoreError):
            await injected.store.add("a", 1, b"1", b"m")
        injected.store.returned()
    injected.faults.replace(Plan())
    assert await injected.store.page(None, 10, descending=False) == ([], False)
    await injected.store.add("a", 1, b"1", b"m")
    injected.plan("error")
    with pytest.raises(StoreError):
        await injected.store.delete("a")
    injected.store.returned()
    injected.faults.replace(Plan())
    assert await injected.store.video("a") == b"1"


async def test_latency_is_added_to_a_good_answer(make: Callable[..., Injected]) -> None:
    injected = make()
    await injected.store.add("a", 1, b"1", b"m")
    injected.plan("latency", seconds=0.1, rate=0.5)
    times = []
    for _ in range(4):
        started = time.perf_counter()
        assert await injected.store.video("a") == b"1"
        times.append(time.perf_counter() - started)
    assert [took >= 0.099 for took in sorted(times)] == [False, False, True, True]


async def test_a_stall_shorter_than_the_time_out_ends_with_a_good_answer(make: Callable[..., Injected]) -> None:
    injected = make(timeout=5)
    await injected.store.add("a", 1, b"1", b"m")
    for fields in ({"seconds": 0.1}, {"seconds": 60, "lifetime": 0.1}):
        injected.plan("stall", **fields)
        started = time.perf_counter()
        assert await injected.store.video("a") == b"1"
        assert 0.099 <= time.perf_counter() - started < 2


async def test_a_stall_never_outlasts_the_time_out(make: Callable[..., Injected]) -> None:
    injected = make(timeout=0.1)
    injected.plan("stall", seconds=600)
    started = time.perf_counter()
    assert isinstance(await injected.cause(), RedisTimeoutError)
    assert 0.099 <= time.perf_counter() - started < 2


@pytest.mark.parametrize("kind", ["stall", "latency"])
async def test_a_call_that_waits_can_be_cancelled(make: Callable[..., Injected], kind: str) -> None:
    injected = make(timeout=60)
    injected.plan(kind, seconds=30)
    call = asyncio.create_task(injected.store.video("a"))
    await asyncio.sleep(0)
    assert injected.faults.state().rules[0].hit == 1
    call.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await call


def test_invalid_plans_are_rejected_with_all_errors_in_the_api_envelope(start: Callable[..., Any]) -> None:
    running = start(faults=True)
    put(running, {"kind": "outage"}, seed=9)
    rules = [
        {"provider": "store", "kind": "error", "rate": 1.5},
        {"provider": "llm", "kind": "outage"},
        {"provider": "store", "kind": "corrupt"},
    ]
    answer = HTTP.put(f"{running.url}/faults", json={"seed": 1, "lifetime": 0, "rules": rules})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": {
            "message": "The fault plan has 4 errors: "
            "rules[0].rate: Input should be less than or equal to 1; "
            "rules[1].provider: Input should be 'store'; "
            "rules[2].kind: Input tag 'corrupt' found using 'kind' does not match any of the expected tags: "
            "'outage', 'stall', 'error', 'latency'; "
            "lifetime: Input should be greater than 0.",
            "type": "invalid_request_error",
            "param": "rules[0].rate",
            "code": "invalid_fault_plan",
        }
    }
    for body in (b"{", b"", b"\xff", b"[" * 50_000):
        refused = HTTP.put(f"{running.url}/faults", content=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_json")
    assert HTTP.post(f"{running.url}/faults").json()["error"]["code"] == "method_not_allowed"
    assert HTTP.get(f"{running.url}/faults").json()["seed"] == 9


async def test_who_may_inject_store_faults(tmp_path: Any, subtests: pytest.Subtests) -> None:
    for settings, caller, status, code in [
        ({"faults": True}, "127.0.0.1", 200, None),
        ({"faults": True}, "::1", 200, None),
        ({"faults": True}, "203.0.113.7", 403, "remote_caller"),
        ({"faults": True, "faults_remote": True}, "203.0.113.7", 200, None),
        ({}, "127.0.0.1", 404, "unknown_url"),
        ({"faults_remote": True}, "127.0.0.1", 404, "unknown_url"),
        ({"admin": True}, "127.0.0.1", 404, "unknown_url"),
    ]:
        with subtests.test(caller=caller, settings=settings):
            app = create_app(Settings(data_dir=tmp_path, **settings))  # type: ignore[arg-type]
            transport = httpx.ASGITransport(app, client=(caller, 1))
            plan = {"seed": 1, "rules": [{"provider": "store", "kind": "outage"}]}
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                answers = [await client.request(method, "/faults", json=plan) for method in ("GET", "PUT", "DELETE")]
            assert [answer.status_code for answer in answers] == [status] * 3
            if code is not None:
                assert {answer.json()["error"]["code"] for answer in answers} == {code}
                assert {answer.json()["error"]["type"] for answer in answers} == {"invalid_request_error"}
