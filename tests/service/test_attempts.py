"""Attempts of the service, as counted by the real mock providers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
NONE = {"run_id": "", "scenario": "", "case": ""}


@pytest.fixture
def service(start: Callable[..., Any], mock_providers: str) -> Callable[..., Any]:
    urls = {f"{name}_url": mock_providers for name in ("llm", "tts", "image")}
    return lambda **settings: start(**urls, retry_wait_initial=0.001, retry_wait_max=0.002, **settings)


def put(url: str, *rules: dict[str, object]) -> None:
    answer = HTTP.put(f"{url}/faults", json={"seed": 1, "rules": rules})
    assert answer.status_code == 200, answer.text


def calls(url: str, **query: object) -> list[dict[str, Any]]:
    return list(HTTP.get(f"{url}/faults/calls", params=query).json()["calls"])  # type: ignore[arg-type]


def test_each_attempt_has_the_time_of_sending(
    service: Callable[..., Any], mock_providers: str, create: Callable[..., Any]
) -> None:
    put(mock_providers, {"provider": "tts", "kind": "error", "rate": 0.3})
    before = time.time()
    running = service(scenes=10)
    assert create(running)["status"] == "completed"
    after = time.time()
    seen = calls(mock_providers, provider="tts", since=before)
    attempts = {labels["provider"]: count for labels, count in running.points("resilience.retry.attempts")}
    outcomes = Counter(call["outcome"] for call in seen)
    assert outcomes == {"ok": 10, "error": attempts["tts"] - 10}
    assert outcomes["error"] >= 3
    spans = sorted(
        (span.start_time / 1e9, span.end_time / 1e9)
        for span in running.finished()
        if span.kind is SpanKind.CLIENT and span.attributes["gen_ai.provider.name"] == "tts"
    )
    sent = sorted(call["sent"] for call in seen)
    assert len(spans) == len(sent) == attempts["tts"]
    # Two clocks of one machine; the service's clock is not adjusted.
    near = 0.05
    for (begun, ended), at in zip(spans, sent, strict=True):
        assert begun - near <= at <= ended + near
    for call in seen:
        assert before - near <= call["sent"] <= call["arrived"] + near <= after + 2 * near
    assert len(set(sent)) == len(sent)
    assert Counter(call["provider"] for call in calls(mock_providers)) == attempts


def test_a_permanent_error_is_not_retried_and_ignored_by_the_breaker(
    service: Callable[..., Any], mock_providers: str, create: Callable[..., Any]
) -> None:
    put(mock_providers, {"provider": "llm", "kind": "error", "status": 400})
    running = service(breaker_failures=1, breaker_window=1)
    for _ in range(3):
        video = create(running)
        assert video["error"] == {
            "code": "provider_error",
            "message": "The llm provider answered with status 400.",
        }
    assert [call["outcome"] for call in calls(mock_providers)] == ["error"] * 3
    kinds = [point for point in running.points("resilience.retry.calls") if point[1]]
    assert kinds == [({"kind": "failed_without_retry", "provider": "llm", **NONE}, 3)]
    assert running.points("resilience.circuitbreaker.calls") == [({"kind": "ignored", "provider": "llm"}, 3)]
    assert running.points("resilience.circuitbreaker.transitions") == []


def test_a_transient_error_is_retried(
    service: Callable[..., Any], mock_providers: str, create: Callable[..., Any]
) -> None:
    put(mock_providers, {"provider": "llm", "kind": "error", "status": 408})
    assert create(service(retry_attempts=3))["status"] == "failed"
    assert [call["outcome"] for call in calls(mock_providers)] == ["error"] * 3
