"""Toggles: changed while the service runs, with effect on later jobs and calls."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from reelbench.service.domain.errors import RequestError
from reelbench.service.settings import NAMES, Toggles, read_toggles

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
ON = dict.fromkeys(NAMES, True)


@pytest.fixture
def running(start: Callable[..., Any]) -> Any:
    return start(admin=True, cache=True)


def switch(running: Any, **values: bool) -> Any:
    answer = HTTP.put(f"{running.url}/v1/admin/switches", json=values)
    assert answer.status_code == 200, answer.text
    return answer.json()["switches"]


def job(running: Any, prompt: str = "Explain queues") -> dict[str, Any]:
    answer = HTTP.post(f"{running.url}/v1/videos", json={"prompt": prompt})
    return dict(HTTP.get(f"{running.url}/v1/videos/{answer.json()['id']}/wait").json())


def test_an_invalid_change_is_rejected_with_all_errors(subtests: pytest.Subtests) -> None:
    for body, code, message in [
        (b"{", "invalid_json", "The body is not valid JSON: "),
        (b"\xff", "invalid_json", "The body is not valid JSON: "),
        (b"[" * 4000, "invalid_json", "The body is not valid JSON: "),
        (b"[]", "invalid_value", 'The body must be an object like {"pooling": false}.'),
        (b'{"cache": 0}', "invalid_switches", "The switches have 1 error: cache: Input should be a valid boolean."),
        (
            b'{"cache": "no", "pooling": [], "colour": true, "breaker": false}',
            "invalid_switches",
            (
                "The switches have 3 errors: cache: Input should be a valid boolean; "
                "pooling: Input should be a valid boolean; colour: Input should be "
            ),
        ),
    ]:
        with subtests.test(body=body[:80]):
            with pytest.raises(RequestError) as caught:
                read_toggles(body)
            assert caught.value.code == code
            assert str(caught.value).startswith(message)


def test_the_endpoint_reads_changes_and_restores_toggles(start: Callable[..., Any]) -> None:
    running = start(admin=True, cache=False)
    url = f"{running.url}/v1/admin/switches"
    began = ON | {"cache": False}
    assert HTTP.get(url).json() == {"object": "switches", "switches": began}
    assert switch(running, pooling=False, cache=True) == ON | {"pooling": False}
    assert switch(running) == ON | {"pooling": False}
    assert HTTP.get(f"{running.url}/v1/admin/state").json()["switches"] == ON | {"pooling": False}
    refused = HTTP.put(url, json={"retries": False, "breaker": None})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        {
            "message": "The switches have 1 error: breaker: Input should be a valid boolean.",
            "type": "invalid_request_error",
            "param": "breaker",
            "code": "invalid_switches",
        },
    )
    assert HTTP.get(url).json()["switches"] == ON | {"pooling": False}  # the valid part is not applied either
    assert HTTP.delete(url).json() == {"object": "switches", "switches": began}
    assert HTTP.get(url).json()["switches"] == began


def test_without_admin_there_are_no_toggles(start: Callable[..., Any]) -> None:
    url = f"{start().url}/v1/admin/switches"
    assert [HTTP.request(method, url).status_code for method in ("GET", "PUT", "DELETE")] == [404, 404, 404]


def test_pooling_can_be_changed_between_jobs(running: Any, providers: Any) -> None:
    switch(running, cache=False)
    opened = []
    for pooling in (True, True, False, True):
        switch(running, pooling=pooling)
        before = {name: set(peers) for name, peers in providers.peers.items()}
        assert job(running)["status"] == "completed"
        opened.append(sum(len(peers - before[name]) for name, peers in providers.peers.items()))
    first, again, unpooled, pooled = opened
    assert unpooled == 11
    assert (first <= 11, again < 11, pooled < 11) == (True, True, True)
    assert again + pooled <= 11  # at least one call per provider uses a pooled connection
    assert providers.calls == Counter(llm=4, tts=20, image=20)


def test_the_cache_can_be_changed_between_jobs(running: Any, providers: Any) -> None:
    made = []
    for cache in (True, True, False, True):
        switch(running, cache=cache)
        before = providers.calls.total()
        assert job(running)["status"] == "completed"
        made.append(providers.calls.total() - before)
    assert made[1:] == [0, 11, 0]


def test_retries_and_breaker_can_be_changed_between_calls(running: Any, providers: Any) -> None:
    providers.answers["llm"] = lambda _: (500, b"")
    breakers = f"{running.url}/v1/admin/breakers"
    tries = []
    for values in ({"retries": False}, {"retries": True}, {"breaker": False}):
        switch(running, **values)
        before = providers.calls["llm"]
        assert job(running)["status"] == "failed"
        tries.append(providers.calls["llm"] - before)
    assert tries == [1, 4, 4]
    assert HTTP.get(breakers).json()["data"] == []
    switch(running, breaker=True, retries=False)
    # 5 failures were counted before; none while the breaker was off.
    for _ in range(4):
        job(running)
    assert [b["state"] for b in HTTP.get(breakers).json()["data"]] == ["closed", "closed", "closed"]
    job(running)
    assert [b["state"] for b in HTTP.get(breakers).json()["data"]] == ["open", "closed", "closed"]


def test_a_breaker_switched_on_later_works(start: Callable[..., Any], providers: Any) -> None:
    providers.answers["llm"] = lambda _: (500, b"")
    running = start(admin=True, breaker=False, retries=False, breaker_failures=2)
    for _ in range(3):
        job(running)
    switch(running, breaker=True)
    for _ in range(3):
        job(running)
    assert providers.calls["llm"] == 5


def test_a_change_of_scene_concurrency_applies_to_later_jobs(running: Any, providers: Any) -> None:
    overlaps = []
    for at_once in (True, False):
        switch(running, scene_concurrency=at_once, cache=False)
        stages = HTTP.get(f"{running.url}/v1/videos/{job(running)['id']}/manifest").json()["stages"]
        spans = [(s["scene"], s["started"], s["ended"]) for s in stages if s["scene"] is not None]
        overlaps.append(any(a[0] < b[0] and b[1] < a[2] for a in spans for b in spans))
    assert overlaps == [True, False]


def test_a_running_job_keeps_its_toggles(running: Any, providers: Any) -> None:
    providers.gate.clear()
    made = HTTP.post(f"{running.url}/v1/videos", json={"prompt": "Explain queues"}).json()["id"]
    asyncio.run(_until(lambda: providers.calls["llm"] == 1))
    switch(running, scene_concurrency=False)
    providers.gate.set()
    assert HTTP.get(f"{running.url}/v1/videos/{made}/wait").json()["status"] == "completed"
    stages = HTTP.get(f"{running.url}/v1/videos/{made}/manifest").json()["stages"]
    starts = [s["started"] for s in stages if s["name"] == "speech"]
    ends = [s["ended"] for s in stages if s["name"] == "speech"]
    assert max(starts) < min(ends)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the provider runs in another thread
            await asyncio.sleep(0.005)


def test_toggle_names_equal_the_settings() -> None:
    assert NAMES == ("retries", "breaker", "cache", "pooling", "scene_concurrency")
    assert Toggles().values() == ON


def test_the_settings_endpoint_says_what_runs_without_secrets(start: Callable[..., Any]) -> None:
    running = start(admin=True, cache=False, provider_api_key="sesame", leak_bytes_per_job=7)
    before = time.time()
    answer = HTTP.get(f"{running.url}/v1/admin/settings")
    found = answer.json()
    assert (answer.status_code, found["name"]) == (200, "service")
    assert {"SERVICE_CACHE", "SERVICE_LEAK_BYTES_PER_JOB"} <= set(found["changed"])
    assert (found["settings"]["SERVICE_CACHE"], found["settings"]["SERVICE_LEAK_BYTES_PER_JOB"]) == ("false", "7")
    assert found["settings"]["SERVICE_PROVIDER_API_KEY"] == "set"
    assert "sesame" not in answer.text
    assert before <= found["time"] <= time.time()
    assert HTTP.get(f"{start(admin=False).url}/v1/admin/settings").status_code == 404
