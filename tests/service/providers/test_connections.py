from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from reelbench.service.providers import metrics
from reelbench.service.providers.app import Settings, create_app
from reelbench.service.providers.metrics import counting

SPEECH = {"model": "m", "input": "Hello", "voice": "alloy", "response_format": "wav"}
IMAGE = {"model": "m", "prompt": "A chart of sales"}


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, InMemoryMetricReader]]:
    reader = InMemoryMetricReader()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(Settings()), http=counting(metrics.create(MeterProvider([reader])).connections), log_config=None
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", reader
    server.should_exit = True
    await serving


async def test_a_connection_is_counted_once_for_the_provider_of_its_first_request(
    served: tuple[str, InMemoryMetricReader],
) -> None:
    url, reader = served
    keep, drop = httpx.Limits(max_connections=1), httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, limits=keep) as pooled:
        for _ in range(4):
            assert (await pooled.post("/v1/audio/speech", json=SPEECH)).status_code == 200
        assert (await pooled.post("/v1/images/generations", json=IMAGE)).status_code == 200
    async with httpx.AsyncClient(base_url=url, limits=drop) as unpooled:
        for _ in range(3):
            assert (await unpooled.post("/v1/images/generations", json=IMAGE)).status_code == 200
        assert (await unpooled.post("/v1/chat/completions", content=b"rubbish")).status_code == 400
        assert (await unpooled.get("/health")).status_code == 200
    data: Any = reader.get_metrics_data()
    (counted,) = (
        metric
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == "provider.connections"
    )
    assert {point.attributes["provider"]: point.value for point in counted.data.data_points} == {
        "tts": 1,
        "image": 3,
        "llm": 1,
        "other": 1,
    }
