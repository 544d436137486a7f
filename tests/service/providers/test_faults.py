"""The fault plan over real HTTP, with an aiohttp client and the openai client, and its counts."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import socket
import time
import wave
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
import openai
import pytest
import uvicorn
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from PIL import Image

from reelbench.service.faults.guard import on_loopback
from reelbench.service.providers import metrics
from reelbench.service.providers.app import Settings, create_app

PATHS = {"llm": "/v1/chat/completions", "tts": "/v1/audio/speech", "image": "/v1/images/generations"}
BODIES: dict[str, Any] = {
    "llm": {"model": "m", "messages": [{"role": "user", "content": "One. Two."}], "metadata": {"scenes": "2"}},
    "tts": {"model": "m", "input": "Hello", "response_format": "wav"},
    "image": {"model": "m", "prompt": "A chart of sales", "n": 2},
}
USUAL = 0.02


@dataclass
class Providers:
    url: str
    http: aiohttp.ClientSession
    reader: InMemoryMetricReader

    async def call(self, name: str) -> tuple[int, bytes]:
        async with self.http.post(PATHS[name], json=BODIES[name]) as answer:
            return answer.status, await answer.read()

    async def plan(self, *rules: dict[str, Any], seed: int = 1) -> dict[str, Any]:
        async with self.http.put("/faults", json={"seed": seed, "rules": rules}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def state(self) -> dict[str, Any]:
        async with self.http.get("/faults") as answer:
            assert answer.status == 200
            return await answer.json()

    async def counts(self) -> list[tuple[int, int]]:
        return [(rule["seen"], rule["hit"]) for rule in (await self.state())["rules"]]

    def outcomes(self) -> dict[tuple[str, str], int]:
        data: Any = self.reader.get_metrics_data()
        return {
            (point.attributes["provider"], point.attributes["outcome"]): point.value
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "provider.requests"
            for point in metric.data.data_points
        }


def configured(monkeypatch: pytest.MonkeyPatch, **settings: str) -> InMemoryMetricReader:
    for name, value in ({f"{name}__MEDIAN": str(USUAL) for name in ("LLM", "TTS", "IMAGE")} | settings).items():
        monkeypatch.setenv(f"PROVIDERS_{name}", value)
    for name in ("LLM", "TTS", "IMAGE"):
        monkeypatch.setenv(f"PROVIDERS_{name}__SIGMA", "0")
    reader = InMemoryMetricReader()
    create, meter_provider = metrics.create, MeterProvider([reader])
    monkeypatch.setattr(metrics, "create", lambda: create(meter_provider))
    return reader


@pytest.fixture
async def providers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Providers]:
    reader = configured(monkeypatch, FAULTS="true")
    server = uvicorn.Server(uvicorn.Config(create_app(Settings()), log_config=None, timeout_graceful_shutdown=1))
    monkeypatch.setattr(server, "capture_signals", contextlib.nullcontext)
    # asyncio sends small answers without delay (TCP_NODELAY) only if the protocol is given.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.005)
        async with aiohttp.ClientSession(url) as http:
            yield Providers(url, http, reader)
        server.should_exit = True
        await running


@pytest.fixture
async def client(providers: Providers) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{providers.url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def waiting(providers: Providers, stalls: int) -> None:
    deadline = time.monotonic() + 60
    while providers.outcomes().get(("tts", "stall"), 0) < stalls:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def stalling() -> int:
    """Count the tasks of calls in progress and of their watchers."""
    names = ("run_asgi", "_disconnected", "Event.wait")
    return sum(any(name in str(task.get_coro()) for name in names) for task in asyncio.all_tasks())


async def test_thirty_percent_of_twenty_calls_is_six(providers: Providers) -> None:
    set_ = await providers.plan({"provider": "tts", "kind": "error", "rate": 0.3})
    rule = {"provider": "tts", "kind": "error", "rate": 0.3, "status": 500}
    assert set_ == {"seed": 1, "rules": [rule | {"seen": 0, "hit": 0}], "calls": {"llm": 0, "tts": 0, "image": 0}}
    statuses = [(await providers.call("tts"))[0] for _ in range(20)]
    assert "".join("x" if status == 500 else "." for status in statuses) == "x..xx......x....x.x."
    await providers.call("llm")
    assert await providers.state() == {
        "seed": 1,
        "rules": [rule | {"seen": 20, "hit": 6}],
        "calls": {"llm": 1, "tts": 20, "image": 0},
    }
    assert providers.outcomes() == {("tts", "ok"): 14, ("tts", "error"): 6, ("llm", "ok"): 1}


async def test_the_settings_endpoint_says_the_effective_latencies(providers: Providers) -> None:
    before = time.time()
    async with providers.http.get("/settings") as answer:
        found = await answer.json()
    assert (answer.status, found["name"]) == (200, "providers")
    assert found["settings"]["PROVIDERS_LLM__MEDIAN"] == str(USUAL)
    assert {"PROVIDERS_FAULTS", "PROVIDERS_LLM__MEDIAN", "PROVIDERS_TTS__SIGMA"} <= set(found["changed"])
    assert before <= found["time"] <= time.time()


async def test_the_call_log_agrees_with_the_counter(providers: Providers) -> None:
    await providers.plan(
        {"provider": "tts", "kind": "stall", "rate": 0.2, "seconds": 0},
        {"provider": "tts", "kind": "error", "rate": 0.3},
        {"provider": "llm", "kind": "outage"},
    )
    await asyncio.gather(*(providers.call(name) for name in ["tts"] * 25 + ["llm"] * 5))
    async with providers.http.post(PATHS["image"], data=b"{}") as invalid:
        assert invalid.status == 400
    async with providers.http.get("/faults/calls") as answer:
        calls = (await answer.json())["calls"]
    assert Counter((call["provider"], call["outcome"]) for call in calls) == providers.outcomes()
    assert providers.outcomes() == {
        ("tts", "stall"): 5,
        ("tts", "error"): 6,
        ("tts", "ok"): 14,
        ("llm", "outage"): 5,
        ("image", "invalid"): 1,
    }
    assert [call["arrived"] for call in calls] == sorted(call["arrived"] for call in calls)


async def test_a_stall_ends_with_the_lifetime_of_its_plan(providers: Providers) -> None:
    plan = {"seed": 1, "lifetime": 0.3, "rules": [{"provider": "tts", "kind": "stall"}]}
    async with providers.http.put("/faults", json=plan) as answer:
        assert (answer.status, (await answer.json())["lifetime"]) == (200, 0.3)
    started = time.perf_counter()
    assert (await providers.call("tts"))[0] == 503
    assert 0.1 < time.perf_counter() - started < 5
    assert (await providers.call("tts"))[0] == 200
    assert (await providers.state())["rules"] == []


async def test_concurrent_calls_are_counted_exactly(providers: Providers) -> None:
    await providers.plan({"provider": "image", "kind": "error", "rate": 0.3})
    answers = await asyncio.gather(*(providers.call("image") for _ in range(60)))
    assert sorted(status for status, _ in answers) == [200] * 42 + [500] * 18
    assert await providers.counts() == [(60, 18)]


async def test_an_error_has_its_status_and_the_usual_latency(providers: Providers) -> None:
    for status, kind in ((429, "rate_limit_error"), (502, "server_error")):
        await providers.plan({"provider": "llm", "kind": "error", "status": status})
        started = time.perf_counter()
        answered, body = await providers.call("llm")
        assert time.perf_counter() - started >= USUAL - 0.002
        assert answered == status
        assert json.loads(body) == {
            "error": {
                "message": "The provider failed, as the fault plan says.",
                "type": kind,
                "param": None,
                "code": "error",
            }
        }


async def test_an_outage_refuses_every_call_at_once(
    providers: Providers, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    await providers.plan({"provider": "llm", "kind": "outage"}, {"provider": "llm", "kind": "error", "rate": 0.5})
    for _ in range(3):
        with pytest.raises(openai.InternalServerError) as down:
            await client.chat.completions.create(**BODIES["llm"])
        assert (down.value.status_code, down.value.code) == (503, "outage")
    async with providers.http.post(PATHS["llm"], data=b"{") as invalid:
        assert invalid.status == 503
    assert await providers.counts() == [(4, 4), (0, 0)]
    assert providers.outcomes() == {("llm", "outage"): 4}
    await providers.plan()
    assert (await client.chat.completions.create(**BODIES["llm"])).object == "chat.completion"


async def test_an_outage_answers_without_the_usual_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, FAULTS="true", TTS__MEDIAN="5")
    transport = httpx.ASGITransport(create_app(Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.put("/faults", json={"seed": 1, "rules": [{"provider": "tts", "kind": "outage"}]})
        started = time.perf_counter()
        assert (await client.post(PATHS["tts"], json=BODIES["tts"])).status_code == 503
        assert time.perf_counter() - started < 3, "not the median of 5 s"


async def test_retries_of_the_openai_client_follow_the_schedule(
    providers: Providers, client: openai.AsyncOpenAI
) -> None:
    await providers.plan({"provider": "llm", "kind": "error", "rate": 0.5})  # x..xx..x
    for _ in range(3):
        assert (await client.with_options(max_retries=2).chat.completions.create(**BODIES["llm"])).choices
    assert await providers.counts() == [(6, 3)]


async def test_latency_is_added_to_a_good_answer(providers: Providers) -> None:
    await providers.plan({"provider": "tts", "kind": "latency", "seconds": 0.7, "rate": 0.5})
    times = []
    for _ in range(4):
        started = time.perf_counter()
        assert (await providers.call("tts"))[0] == 200
        times.append(time.perf_counter() - started)
    assert [took >= USUAL + 0.7 - 0.002 for took in sorted(times)] == [False, False, True, True]
    assert (await providers.counts(), providers.outcomes()) == ([(4, 2)], {("tts", "ok"): 4})


async def test_corrupt_sound_is_truncated_then_garbage(providers: Providers) -> None:
    _, good = await providers.call("tts")
    await providers.plan({"provider": "tts", "kind": "corrupt"})
    (_, truncated), (status, garbage) = [await providers.call("tts") for _ in range(2)]
    assert (status, len(truncated), len(garbage)) == (200, len(good) // 2, len(good))
    assert good.startswith(truncated)
    with wave.open(io.BytesIO(truncated)) as file:
        assert len(file.readframes(file.getnframes())) < 2 * file.getnframes()
    with pytest.raises(wave.Error), wave.open(io.BytesIO(garbage)):
        pass
    assert providers.outcomes() == {("tts", "ok"): 1, ("tts", "corrupt"): 2}


async def test_corrupt_pictures_come_in_good_json(providers: Providers, client: openai.AsyncOpenAI) -> None:
    await providers.plan({"provider": "image", "kind": "corrupt"})
    for starts in (b"\x89PNG", bytes(byte ^ 0xA5 for byte in b"\x89PNG")):
        answer = await client.images.generate(**BODIES["image"])
        assert len(answer.data or ()) == 2
        for datum in answer.data or ():
            content = base64.b64decode(datum.b64_json or "", validate=True)
            assert content.startswith(starts)
            with pytest.raises(OSError, match=r"truncated|cannot identify"):
                Image.open(io.BytesIO(content)).load()
    assert providers.outcomes() == {("image", "corrupt"): 2}


async def test_a_corrupt_script_is_no_json(providers: Providers, client: openai.AsyncOpenAI) -> None:
    async def text() -> str:
        return (await client.chat.completions.create(**BODIES["llm"])).choices[0].message.content or ""

    good = await text()
    await providers.plan({"provider": "llm", "kind": "corrupt"})
    texts = [await text() for _ in range(2)]
    assert texts[0] == good[: len(good) // 2]
    for broken in texts:
        with pytest.raises(json.JSONDecodeError):
            json.loads(broken)


@pytest.mark.parametrize("lift", ["DELETE", "empty", "same"])
async def test_lifting_the_plan_ends_stalls_at_once(providers: Providers, lift: str) -> None:
    rule = {"provider": "tts", "kind": "stall"}
    await providers.plan(rule)
    calls = [asyncio.create_task(providers.call("tts")) for _ in range(3)]
    await waiting(providers, 3)
    assert (stalling(), any(call.done() for call in calls)) == (9, False)
    started = time.perf_counter()
    if lift == "DELETE":
        async with providers.http.delete("/faults") as answer:
            (last,) = (await answer.json())["rules"]
            assert last == rule | {"rate": 1.0, "seconds": 60.0, "seen": 3, "hit": 3}
        assert (await providers.state())["rules"] == []
    else:
        await providers.plan(*([rule] if lift == "same" else []))
    answers = await asyncio.gather(*calls)
    assert time.perf_counter() - started < 10, "not the 60 s of the stall"
    assert [(status, json.loads(body)["error"]["code"]) for status, body in answers] == [(503, "stall")] * 3
    assert stalling() == 0


async def test_a_stall_ends_after_its_seconds_and_closes_the_connection(providers: Providers) -> None:
    await providers.plan({"provider": "tts", "kind": "stall", "seconds": 0.2})
    started = time.perf_counter()
    async with providers.http.post(PATHS["tts"], json=BODIES["tts"]) as answer:
        assert 0.198 <= time.perf_counter() - started < 10
        assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert providers.outcomes() == {("tts", "stall"): 1}


@pytest.mark.parametrize("kind", ["stall", "latency"])
async def test_a_client_that_closes_its_connection_leaves_no_task(
    providers: Providers, client: openai.AsyncOpenAI, kind: str
) -> None:
    await providers.plan({"provider": "tts", "kind": kind, "seconds": 30})
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.2).audio.speech.create(voice="alloy", **BODIES["tts"])
    outcome = "ok" if kind == "latency" else "stall"
    deadline = time.monotonic() + 60
    while stalling() or providers.outcomes() != {("tts", outcome): 1}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_rule_counts_only_calls_that_earlier_rules_let_pass(providers: Providers) -> None:
    await providers.plan(
        {"provider": "tts", "kind": "latency", "rate": 0.2, "seconds": 0},
        {"provider": "tts", "kind": "corrupt", "rate": 0.5},
        {"provider": "tts", "kind": "error", "rate": 0.3},
    )
    for _ in range(20):
        await providers.call("tts")
    assert await providers.counts() == [(7, 1), (14, 7), (20, 6)]
    assert providers.outcomes() == {("tts", "ok"): 7, ("tts", "corrupt"): 7, ("tts", "error"): 6}


async def test_invalid_requests_do_not_count_for_faults_of_answers(providers: Providers) -> None:
    await providers.plan({"provider": "tts", "kind": "error"})
    async with providers.http.post(PATHS["tts"], data=b"{}") as answer:
        assert answer.status == 400
    state = await providers.state()
    assert (state["rules"][0]["seen"], state["calls"]["tts"]) == (0, 1)
    assert providers.outcomes() == {("tts", "invalid"): 1}


async def test_a_rejected_plan_changes_nothing(providers: Providers) -> None:
    await providers.plan({"provider": "tts", "kind": "outage"}, seed=9)
    rules = [{"provider": "tts", "kind": "error", "rate": 2}, {"provider": "x", "kind": "stall", "seconds": -1}]
    async with providers.http.put("/faults", json={"seed": 1, "rules": rules}) as answer:
        assert answer.status == 400
        assert await answer.json() == {
            "error": {
                "message": "The fault plan has 3 errors: "
                "rules[0].rate: Input should be less than or equal to 1; "
                "rules[1].seconds: Input should be greater than or equal to 0; "
                "rules[1].provider: Input should be 'llm', 'tts' or 'image'.",
                "type": "invalid_request_error",
                "param": "rules[0].rate",
                "code": "invalid_fault_plan",
            }
        }
    state = await providers.state()
    assert (state["seed"], len(state["rules"])) == (9, 1)


async def test_who_may_use_the_endpoint(monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests) -> None:
    caller: Any  # httpx does not declare that a client can be unknown
    for caller, settings, status in [
        (("127.0.0.1", 1), {"FAULTS": "true"}, 200),
        (("::1", 1), {"FAULTS": "true"}, 200),
        (("10.0.0.9", 1), {"FAULTS": "true"}, 403),
        (None, {"FAULTS": "true"}, 403),
        (("10.0.0.9", 1), {"FAULTS": "true", "FAULTS_REMOTE": "true"}, 200),
        (("127.0.0.1", 1), {}, 404),
        (("127.0.0.1", 1), {"FAULTS_REMOTE": "true"}, 404),
    ]:
        with subtests.test(caller=caller, settings=settings), monkeypatch.context() as environment:
            configured(environment, **settings)
            transport = httpx.ASGITransport(create_app(Settings()), client=caller)
            plan = {"seed": 1, "rules": [{"provider": "tts", "kind": "outage"}]}
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                answers = [await client.request(method, "/faults", json=plan) for method in ("GET", "PUT", "DELETE")]
                assert [answer.status_code for answer in answers] == [status] * 3
                if status != 200:
                    assert {answer.json()["error"]["type"] for answer in answers} == {"invalid_request_error"}
                    assert {answer.json()["error"]["code"] for answer in answers} == {
                        "remote_caller" if status == 403 else None
                    }
                    assert (await client.post(PATHS["tts"], json=BODIES["tts"])).status_code == 200


def test_loopback_addresses(subtests: pytest.Subtests) -> None:
    for host, local in [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse, nothing listens on it
        ("192.168.0.1", False),
        ("localhost", False),
        ("testclient", False),
        ("", False),
    ]:
        with subtests.test(host=host):
            assert on_loopback(host) is local
