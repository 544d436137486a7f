"""The caches, counted at the providers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracer

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.cache import Cache, Lru, address
from reelbench.service.provider_client.client import ProviderClient
from reelbench.service.provider_client.requests import (
    ProviderAnswer,
    ProviderRequest,
    SceneScript,
    script,
    speech,
    visual,
)
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.settings import Settings
from tests.service.waiting import loop_until

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
LABELS = {"run_id": "r1", "scenario": "cache_efficiency", "case": "c"}
HEADERS = {"baggage": ",".join(f"{key}={value}" for key, value in LABELS.items())}


def test_lru_evicts_the_least_recently_used_entry() -> None:
    lru: Lru[str] = Lru(entries=2, size=100)
    lru.put(b"a", "A", 1)
    lru.put(b"b", "B", 2)
    assert lru.get(b"a") == "A"
    lru.put(b"c", "C", 4)
    assert [lru.get(key) for key in (b"a", b"b", b"c")] == ["A", None, "C"]
    assert (len(lru), lru.size) == (2, 5)


def test_lru_evicts_by_bytes_and_rejects_values_above_the_limit() -> None:
    lru: Lru[str] = Lru(entries=10, size=10)
    for key in (b"a", b"b", b"c"):
        lru.put(key, key.decode(), 3)
    lru.put(b"d", "d", 7)
    assert [lru.get(key) for key in (b"a", b"b", b"c", b"d")] == [None, None, "c", "d"]
    assert lru.size == 10
    lru.put(b"d", "D", 1)
    assert (lru.get(b"d"), lru.size) == ("D", 4)
    lru.put(b"d", "too large", 11)
    assert (lru.get(b"d"), lru.get(b"c"), len(lru), lru.size) == (None, "c", 1, 3)


def test_the_cache_key_covers_every_input() -> None:
    scene = SceneScript("Title", "Narration", "chart")
    calls: list[ProviderRequest[Any]] = [
        script("m", "p", "d", 5),
        script("n", "p", "d", 5),
        script("m", "q", "d", 5),
        script("m", "p", "e", 5),
        script("m", "p", "d", 4),
        speech("m", "v", "text"),
        speech("n", "v", "text"),
        speech("m", "w", "text"),
        speech("m", "v", "Text"),
        visual("m", scene, "1280x720"),
        visual("n", scene, "1280x720"),
        visual("m", scene, "720x1280"),
        visual("m", msgspec.structs.replace(scene, visual_type="diagram"), "1280x720"),
        visual("m", msgspec.structs.replace(scene, title="Other"), "1280x720"),
        visual("m", msgspec.structs.replace(scene, narration="Other"), "1280x720"),
    ]
    assert len({address(call) for call in calls}) == len(calls)
    assert address(script("m", "p", "d", 5)) == address(calls[0])
    assert len(address(calls[0])) == 32


class Cached:
    """A cache in front of a client of the fake TTS provider, with its metrics."""

    def __init__(self, url: str, *, entries: int, size: int, **settings: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        metrics = Metrics(self.meters.get_meter("test"))
        chosen = Settings(retry_wait_initial=0.001, retry_wait_max=0.001, breaker=False, provider_timeout=5, **settings)
        self.toggles = chosen.toggles()
        resilience = Resilience("tts", chosen, self.toggles, metrics, Clock())
        self.client = ProviderClient(
            "tts",
            url,
            resilience,
            chosen,
            self.toggles,
            tracer=NoOpTracer(),
            metrics=metrics,
            clock=Clock(),
        )
        self.cache = Cache("audio", self.client, self.toggles, metrics, entries=entries, size=size)
        metrics.caches(lambda: [(self.cache.name, self.cache.entries, self.cache.size)])

    async def call(self, text: str) -> bytes:
        call = ProviderRequest("text_to_speech", "/v1/audio/speech", "m", {"input": text}, ProviderAnswer)
        return await self.cache.call(call, Correlation(**LABELS))

    def values(self, name: str, key: str) -> dict[Any, Any]:
        data = self.reader.get_metrics_data()
        return {
            point.attributes.get(key): point.value
            for scope in (data.resource_metrics[0].scope_metrics if data else ())
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }


@pytest.fixture
async def make(providers: Any) -> AsyncIterator[Callable[..., Cached]]:
    made: list[Cached] = []

    def new(*, entries: int = 100, size: int = 1 << 20, **settings: Any) -> Cached:
        made.append(Cached(providers.url, entries=entries, size=size, **settings))
        return made[-1]

    yield new
    for cached in made:
        await cached.client.close()
        cached.meters.shutdown()


async def test_each_cache_hit_saves_one_provider_call(make: Any, providers: Any) -> None:
    providers.answers["tts"] = lambda payload: (200, str(payload["input"]).encode() * 10)
    cached = make()
    texts = ["a", "b", "a", "a", "c", "b"]
    assert [await cached.call(text) for text in texts] == [text.encode() * 10 for text in texts]
    assert providers.calls["tts"] == 3
    assert cached.values("cache.requests", "result") == {"miss": 3, "hit": 3}
    # One of three hits on "b", two on "a": a body of {"input":"x"} and an answer of ten bytes each.
    assert cached.values("cache.io_saved", "cache") == {"audio": 3 * (len('{"input":"a"}') + 10)}
    assert cached.values("cache.entries", "cache") == {"audio": 3}
    assert cached.values("cache.size", "cache") == {"audio": 30}


async def test_the_time_saved_is_the_duration_of_the_original_call(make: Any, providers: Any) -> None:
    providers.gate.clear()
    cached = make()
    first = asyncio.create_task(cached.call("a"))
    await loop_until(lambda: providers.calls["tts"] == 1)
    asyncio.get_running_loop().call_later(0.1, providers.gate.set)
    await first
    data = cached.values("cache.time_saved", "cache")
    assert data == {}
    await cached.call("a")
    await cached.call("a")
    spent = next(
        point.sum
        for scope in cached.reader.get_metrics_data().resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == "gen_ai.client.operation.duration"
        for point in metric.data.data_points
    )
    assert spent >= 0.1
    assert cached.values("cache.time_saved", "cache")["audio"] == pytest.approx(2 * spent, rel=0.02)


async def test_evicted_answers_are_requested_again(make: Any, providers: Any) -> None:
    providers.answers["tts"] = lambda _: (200, b"x" * 40)
    by_entries, by_bytes = make(entries=2), make(size=100)
    for cached in (by_entries, by_bytes):
        before = providers.calls["tts"]
        for text in ("a", "b", "c", "a"):
            await cached.call(text)
        assert providers.calls["tts"] - before == 4
        assert (cached.cache.entries, cached.cache.size) == (2, 80)
        await cached.call("c")
        assert providers.calls["tts"] - before == 4


async def test_concurrent_requests_share_one_call(make: Any, providers: Any) -> None:
    providers.gate.clear()
    cached = make()
    asked = [asyncio.create_task(cached.call("a")) for _ in range(5)]
    await loop_until(lambda: providers.calls["tts"] == 1)
    providers.gate.set()
    answers = await asyncio.gather(*asked)
    assert len(set(answers)) == 1
    assert providers.calls["tts"] == 1
    assert cached.values("cache.requests", "result") == {"miss": 1, "coalesced": 4}
    assert cached.values("cache.io_saved", "cache") == {"audio": 4 * (len('{"input":"a"}') + len(answers[0]))}


async def test_a_shared_call_survives_cancellation_of_its_first_caller(make: Any, providers: Any) -> None:
    providers.gate.clear()
    cached = make()
    leader, first, second = (asyncio.create_task(cached.call("a")) for _ in range(3))
    await loop_until(lambda: providers.calls["tts"] == 1)
    leader.cancel()
    first.cancel()
    await asyncio.wait({leader, first})
    assert (leader.cancelled(), first.cancelled(), second.done()) == (True, True, False)
    providers.gate.set()
    assert (await second)[:4] == b"RIFF"
    assert (providers.calls["tts"], providers.cut_off["tts"]) == (1, 0)
    assert (await cached.call("a"))[:4] == b"RIFF"
    assert providers.calls["tts"] == 1


async def test_a_shared_call_is_cancelled_with_its_last_caller(make: Any, providers: Any) -> None:
    providers.gate.clear()
    cached = make()
    asked = [asyncio.create_task(cached.call("a")) for _ in range(3)]
    await loop_until(lambda: providers.calls["tts"] == 1)
    for task in asked:
        task.cancel()
    later = asyncio.create_task(cached.call("a"))
    await asyncio.wait({*asked})
    await loop_until(lambda: providers.cut_off["tts"] == 1)
    providers.gate.set()
    assert (await later)[:4] == b"RIFF"
    assert providers.calls["tts"] == 2
    assert cached.cache.entries == 1


async def test_a_failure_is_shared_but_not_cached(make: Any, providers: Any) -> None:
    providers.answers["tts"] = lambda _: (500, b"")
    cached = make(retries=False)
    failures = await asyncio.gather(*(cached.call("a") for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [ProviderError] * 3
    assert providers.calls["tts"] == 1
    assert (cached.cache.entries, cached.values("cache.io_saved", "cache")) == (0, {})
    del providers.answers["tts"]
    assert (await cached.call("a"))[:4] == b"RIFF"
    assert providers.calls["tts"] == 2
    assert cached.values("cache.requests", "result") == {"miss": 2, "coalesced": 2}


def post(running: Any, prompt: str) -> dict[str, Any]:
    job = HTTP.post(f"{running.url}/v1/videos", json={"prompt": prompt}, headers=HEADERS).json()
    return dict(HTTP.get(f"{running.url}/v1/videos/{job['id']}/wait").json())


def test_a_repeated_job_causes_no_call_and_no_usage(start: Callable[..., Any], providers: Any) -> None:
    running = start(cache=True)
    assert [post(running, prompt)["status"] for prompt in ("one", "one", "one")] == ["completed"] * 3
    assert providers.calls == Counter(llm=1, tts=5, image=5)
    counts = {
        (labels["cache"], labels["result"]): value
        for labels, value in running.points("cache.requests")
        if {key: labels[key] for key in LABELS} == LABELS
    }
    assert counts == {
        ("script", "miss"): 1,
        ("script", "hit"): 2,
        ("audio", "miss"): 5,
        ("audio", "hit"): 10,
        ("visual", "miss"): 5,
        ("visual", "hit"): 10,
    }
    assert {(labels["provider"], labels["kind"]): value for labels, value in running.points("video.usage")} == {
        ("llm", "input_tokens"): 100,
        ("llm", "output_tokens"): 40,
        ("tts", "characters"): 5 * len("Narration 0"),
        ("image", "input_tokens"): 35,
        ("image", "output_tokens"): 150,
        ("image", "images"): 5,
    }
    results = Counter(
        span.attributes["cache.result"] for span in running.finished() if "cache.result" in span.attributes
    )
    assert results == {"miss": 11, "hit": 22}


def test_without_cache_every_job_causes_calls(start: Callable[..., Any], providers: Any) -> None:
    running = start(cache=False)
    for _ in range(2):
        assert post(running, "one")["status"] == "completed"
    assert providers.calls == Counter(llm=2, tts=10, image=10)
    assert running.points("cache.requests") == []
    usage = {labels["kind"]: value for labels, value in running.points("video.usage") if labels["provider"] == "llm"}
    assert usage == {"input_tokens": 200, "output_tokens": 80}
