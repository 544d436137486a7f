from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from reelbench.service.providers import image, metrics
from reelbench.service.providers.app import Settings, create_app
from reelbench.service.providers.latency import Latency
from reelbench.service.providers.reply import Reply

CHAT = {"model": "m", "messages": [{"role": "user", "content": "One. Two."}], "metadata": {"scenes": "2"}}
SPEECH = {"model": "m", "input": "Hello", "voice": "alloy", "response_format": "wav"}
IMAGE = {"model": "m", "prompt": "A chart of sales"}
PATHS = {"llm": "/v1/chat/completions", "tts": "/v1/audio/speech", "image": "/v1/images/generations"}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    create = metrics.create
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "create", lambda: create(provider))
    return reader


@pytest.fixture
async def client(reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    for name in ("LLM", "TTS", "IMAGE"):
        monkeypatch.setenv(f"PROVIDERS_{name}__MEDIAN", "0.15")
        monkeypatch.setenv(f"PROVIDERS_{name}__SIGMA", "0")
    app = create_app(Settings(), clock=lambda: 1000.0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def counted(reader: InMemoryMetricReader) -> dict[tuple[str, ...], int]:
    data: Any = reader.get_metrics_data()
    return {
        (metric.name, *sorted(str(value) for value in point.attributes.values())): point.value
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


async def test_each_provider_answers_with_its_latency_and_is_counted(
    client: httpx.AsyncClient, reader: InMemoryMetricReader
) -> None:
    sizes = {}
    for name, body, scale in (("llm", CHAT, 1.0), ("tts", SPEECH, 1.0), ("image", IMAGE, 0.75)):
        started = time.perf_counter()
        answer = await client.post(PATHS[name], json=body)
        took = time.perf_counter() - started
        assert answer.status_code == 200
        assert 0.15 * scale - 0.002 <= took < 0.15 * scale + 10
        sizes[name] = len(answer.content)
    values = counted(reader)
    assert {key: value for key, value in values.items() if key[0] == "provider.requests"} == {
        ("provider.requests", *sorted((name, "ok"))): 1 for name in PATHS
    }
    for name, size in sizes.items():
        assert values["provider.response.bytes", name] == size
    assert values["provider.tokens", "input", "llm"] == 3
    assert values["provider.tokens", "input", "tts"] == 2
    assert values["provider.tokens", "image", "input"] == 4


async def test_bad_input_gets_the_error_envelope_without_delay(
    client: httpx.AsyncClient,
    reader: InMemoryMetricReader,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    monkeypatch.setattr(Latency, "next", lambda *_: pytest.fail("a latency was drawn"))
    cases = [
        ("llm", b"{", None),
        ("llm", b"\xff", None),
        ("llm", b"[]", None),
        ("llm", b'{"model":"m"}', "messages"),
        ("llm", b'{"model":"m","messages":[]}', "messages"),
        ("llm", b'{"model":"m","messages":[{"content":"x"}]}', "messages[0].role"),
        ("llm", b'{"model":"m","messages":[{"role":"user","content":5}]}', "messages[0].content"),
        ("llm", b'{"model":"","messages":[{"role":"user","content":"x"}]}', "model"),
        ("tts", b'{"model":"m","input":"","response_format":"wav"}', "input"),
        ("tts", b'{"model":"m","input":"x","response_format":"mp3"}', "response_format"),
        ("image", b'{"model":"m","prompt":"p","n":11}', "n"),
        ("image", b'{"model":"m","prompt":"p","size":"huge"}', "size"),
        *((name, b'{"x":' + b"[" * 3000, None) for name in PATHS),
    ]
    for path, body, param in cases:
        with subtests.test(path=path, body=body[:80]):
            answer = await client.post(PATHS[path], content=body)
            assert answer.status_code == 400
            error = answer.json()["error"]
            assert error["type"] == "invalid_request_error"
            assert error["param"] == param
            assert set(error) == {"message", "type", "param", "code"}
            assert (error["code"] == "invalid_json") == (param is None and body != b"[]")
    assert sum(value for key, value in counted(reader).items() if "invalid" in key) == len(cases)


async def test_unknown_paths_and_methods_answer_in_the_envelope(client: httpx.AsyncClient) -> None:
    missing, wrong = await client.get("/v1/nothing"), await client.get(PATHS["llm"])
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert missing.json()["error"]["message"] == "GET /v1/nothing: Not Found."
    assert wrong.json()["error"]["type"] == "invalid_request_error"
    assert wrong.headers["allow"] == "POST"


async def test_health(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_pictures_are_drawn_outside_the_event_loop_thread(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    answer = image.answer

    def noted(request: image.Image, now: float) -> Reply:
        threads.append(threading.get_ident())
        return answer(request, now)

    monkeypatch.setattr(image, "answer", noted)
    assert (await client.post(PATHS["image"], json=IMAGE)).status_code == 200
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
