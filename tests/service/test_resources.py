"""Resources of a job: connections, bytes, CPU time and memory, with the optimizations on and off."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest
from fakeredis import FakeAsyncRedis
from opentelemetry import baggage, context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracer

from reelbench.service.domain.clock import Clock
from reelbench.service.domain.correlation import Correlation
from reelbench.service.metrics import Metrics
from reelbench.service.pipeline import workers
from reelbench.service.pipeline.workers import WorkerUsage
from reelbench.service.provider_client.client import ProviderClient
from reelbench.service.provider_client.requests import ProviderAnswer, ProviderRequest
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.settings import MIB, Settings
from reelbench.service.store.connection import Connection
from reelbench.service.store.store import Store
from tests.service.shared_workers import own_media_processes
from tests.service.waiting import until

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
LABELS = {"run_id": "r1", "scenario": "connection_pooling", "case": "c"}
HEADERS = {"baggage": ",".join(f"{key}={value}" for key, value in LABELS.items())}
PROVIDERS = ("llm", "tts", "image")


def jobs(running: Any, count: int, *, wait: bool = True) -> list[str]:
    """Create jobs one after the other; return their ids."""
    made = []
    for number in range(count):
        answer = HTTP.post(f"{running.url}/v1/videos", json={"prompt": f"number {number}"}, headers=HEADERS)
        made.append(answer.json()["id"])
        if wait:
            video = HTTP.get(f"{running.url}/v1/videos/{made[-1]}/wait", headers=HEADERS).json()
            assert video["status"] == "completed"
    return made


def by_provider(running: Any, name: str) -> dict[str, Any]:
    found = running.points(name)
    for labels, _ in found:
        assert {key: labels[key] for key in LABELS} == LABELS
    return {labels["provider"]: value for labels, value in found}


def test_pooled_connections_are_opened_once_and_then_reused(start: Callable[..., Any], providers: Any) -> None:
    running = start()
    jobs(running, 3)
    opened = by_provider(running, "http.client.connections.opened")
    assert opened == {name: len(providers.peers[name]) for name in PROVIDERS}
    assert opened["llm"] == 1
    assert max(opened["tts"], opened["image"]) <= 5
    reused = by_provider(running, "http.client.connections.reused")
    assert {name: opened[name] + reused[name] for name in PROVIDERS} == providers.calls
    assert providers.calls == Counter(llm=3, tts=15, image=15)
    connects = {labels["provider"]: count for labels, (count, _) in running.points("http.client.connect.duration")}
    assert connects == opened
    assert all(0 < seconds < 5 for _, (_, seconds) in running.points("http.client.connect.duration"))


def test_without_pooling_every_call_opens_a_connection(start: Callable[..., Any], providers: Any) -> None:
    running = start(pooling=False)
    jobs(running, 3)
    assert {name: len(peers) for name, peers in providers.peers.items()} == {"llm": 3, "tts": 15, "image": 15}
    assert by_provider(running, "http.client.connections.opened") == {"llm": 3, "tts": 15, "image": 15}
    assert running.points("http.client.connections.reused") == []


def test_provider_bytes_equal_the_bodies_on_the_wire(start: Callable[..., Any], providers: Any) -> None:
    running = start()
    jobs(running, 2)
    found = {}
    for labels, value in running.points("dependency.io"):
        assert {key: labels[key] for key in LABELS} == LABELS
        found[labels["dependency"], labels["direction"]] = value
    assert {name: found[name, "sent"] for name in PROVIDERS} == providers.received
    assert {name: found[name, "received"] for name in PROVIDERS} == providers.sent
    assert min(providers.received.values()) > 100
    assert found["store", "sent"] > 2 * 3 * 1000  # video and manifest of two jobs, three times


async def test_waits_for_connections_are_timed_and_rejected_attempts_open_none(providers: Any) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    instruments = Metrics(meters.get_meter("test"))
    settings = Settings(retries=False, provider_connections=1, provider_timeout=5)
    client = ProviderClient(
        "tts",
        providers.url,
        Resilience("tts", settings, settings.toggles(), instruments, Clock()),
        settings,
        settings.toggles(),
        tracer=NoOpTracer(),
        metrics=instruments,
        clock=Clock(),
    )
    call = ProviderRequest("text_to_speech", "/v1/audio/speech", "m", {}, ProviderAnswer)
    providers.gate.clear()
    asked = [asyncio.create_task(client.call(call, Correlation(**LABELS))) for _ in range(3)]
    # After the first call has started, the others wait for its connection.
    while providers.calls["tts"] < 1:  # noqa: ASYNC110 - the provider runs in another thread
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    providers.gate.set()
    await asyncio.gather(*asked)
    client._base = "http://127.0.0.1:1"
    assert (await asyncio.gather(client.call(call, Correlation(**LABELS)), return_exceptions=True))[0].error_type
    await client.close()
    data: Any = reader.get_metrics_data()
    points = {
        metric.name: metric.data.data_points
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
    }
    (waits,) = points["http.client.pool.wait.duration"]
    assert (waits.count, dict(waits.attributes)) == (2, {"provider": "tts"})
    assert 0.2 <= waits.sum < 2  # two calls waited for the first, one of them also for the second
    assert [point.value for point in points["http.client.connections.opened"]] == [1]
    assert [point.value for point in points["http.client.connections.reused"]] == [2]
    meters.shutdown()


async def test_store_bytes_are_payloads_in_both_directions() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    metrics = Metrics(meters.get_meter("test"))
    store = Store(Connection(FakeAsyncRedis(), metrics))
    place = context.Context()
    for key, value in LABELS.items():
        place = baggage.set_baggage(key, value, place)
    metrics.correlations.admit(place)
    token = context.attach(place)
    try:
        await store.add("v1", 1, b"v" * 10, b"m" * 5)
        await store.update("v1", b"v" * 20, b"m" * 7)
        assert await store.video("v1") == b"v" * 20
        assert await store.manifest("v1") == b"m" * 7
        assert await store.video("unknown") is None
        assert await store.page(None, 10, descending=False) == ([("v1", b"v" * 20)], False)
    finally:
        context.detach(token)
        await store.close()
    data: Any = reader.get_metrics_data()
    points = {
        point.attributes["direction"]: (point.value, dict(point.attributes))
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == "dependency.io"
        for point in metric.data.data_points
    }
    store_labels = {"dependency": "store", **LABELS}
    assert points == {
        "sent": (15 + 27, {"direction": "sent", **store_labels}),
        # video, manifest, and of the page one id and one video
        "received": (20 + 7 + 2 + 20, {"direction": "received", **store_labels}),
    }
    meters.shutdown()


def test_scenes_are_produced_concurrently(start: Callable[..., Any], providers: Any) -> None:
    def closing(payload: dict[str, object]) -> tuple[int, bytes]:
        providers.gate.clear()
        answer: tuple[int, bytes] = providers._llm(payload)
        return answer

    providers.answers["llm"] = closing
    running = start()
    (video,) = jobs(running, 1, wait=False)
    until(lambda: providers.calls == Counter(llm=1, tts=5, image=5), "all scenes are asked for")
    providers.gate.set()
    assert HTTP.get(f"{running.url}/v1/videos/{video}/wait").json()["status"] == "completed"


def test_without_scene_concurrency_scenes_are_sequential(start: Callable[..., Any], providers: Any) -> None:
    running = start(scene_concurrency=False)
    (video,) = jobs(running, 1)
    stages = HTTP.get(f"{running.url}/v1/videos/{video}/manifest").json()["stages"]
    spans = {
        number: [(stage["started"], stage["ended"]) for stage in stages if stage["scene"] == number]
        for number in range(5)
    }
    assert [len(found) for found in spans.values()] == [2] * 5
    for number in range(4):
        assert max(ended for _, ended in spans[number]) <= min(started for started, _ in spans[number + 1])


@pytest.mark.acceptance
@pytest.mark.extended
def test_only_an_injected_leak_grows_memory(launch: Callable[..., Any], providers: Any) -> None:
    growth = {}
    for size in (0, 16 * MIB):
        running = launch(SERVICE_LEAK_BYTES_PER_JOB=str(size), SERVICE_CACHE="false", OTEL_TRACES_EXPORTER="none")
        process = psutil.Process(running.pid)
        jobs(running, 2)
        before = process.memory_info().rss
        jobs(running, 6)
        growth[size] = process.memory_info().rss - before
    assert providers.calls["llm"] == 16
    assert growth[0] < 8 * MIB
    assert growth[16 * MIB] == pytest.approx(6 * 16 * MIB, abs=8 * MIB)


@pytest.mark.extended
def test_cpu_time_and_memory_of_media_processes(start: Callable[..., Any]) -> None:
    running = start(media_processes=1)
    jobs(running, 2)
    until(lambda: len(own_media_processes()) == 1, "the one media process runs")
    (child,) = own_media_processes()

    def cpu() -> float:
        ((labels, value),) = running.points("media.process.cpu.time")
        assert labels == {}
        return float(value)

    times = child.cpu_times()
    before = cpu()
    assert before == pytest.approx(times.user + times.system, abs=0.05)
    assert before > 0.05
    ((labels, memory),) = running.points("media.process.memory.usage")
    assert (labels, memory) == ({}, pytest.approx(child.memory_info().rss, rel=0.1))
    os.kill(child.pid, 9)
    readings = [before]
    jobs(running, 1)  # composed by another process
    readings.append(cpu())
    (successor,) = own_media_processes()
    times = successor.cpu_times()
    assert successor.pid != child.pid
    assert readings[1] == pytest.approx(before + times.user + times.system, abs=0.05)


def test_cpu_time_never_decreases_when_processes_end_or_pids_are_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[int, float] = {}
    monkeypatch.setattr(workers, "_cpu", table.get)
    watched = WorkerUsage(lambda: (1, 2))
    readings = []
    for state in ({}, {1: 1.0}, {1: 2.0, 2: 5.0}, {2: 6.0}, {}, {1: 0.5}, {1: 0.25, 2: 1.0}):
        table.clear()
        table.update(state)
        readings.append(watched.cpu_time())
    assert readings == [0, 1, 7, 8, 8, 8.5, 2 + 6 + 0.5 + 0.25 + 1]


def test_an_ended_process_counts_zero() -> None:
    assert (WorkerUsage(lambda: (2**22 + 1,)).cpu_time(), WorkerUsage(lambda: (2**22 + 1,)).memory()) == (0, 0)


def test_toggles_are_on_by_default() -> None:
    names = {"retries", "breaker", "cache", "pooling", "scene_concurrency"}
    assert Settings().toggles().values() == dict.fromkeys(names, True)
    for name in names:
        assert Settings.model_validate({name: False}).toggles().values() == dict.fromkeys(names, True) | {name: False}


@pytest.mark.extended
@pytest.mark.parametrize("module", ["reelbench.service.telemetry", "reelbench.loadgen.telemetry"])
def test_every_component_measures_its_own_process(module: str) -> None:
    code = (
        f"import gc, json, os, psutil, urllib.request, {module} as telemetry; "
        "from prometheus_client.parser import text_string_to_metric_families as families; "
        "telemetry.configure('x'); gc.collect(); me = psutil.Process(); found = {}; "
        "port = os.environ['OTEL_EXPORTER_PROMETHEUS_PORT']; "
        "page = urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics').read().decode(); "
        "[found.__setitem__(s.name, found.get(s.name, 0) + s.value) for m in families(page) for s in m.samples]; "
        "print(json.dumps([found, me.memory_info().rss, sum(me.cpu_times()[:2]), me.num_fds(), me.num_threads()])); "
        "print(end='', flush=True); os._exit(0)"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment |= {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        environment["OTEL_EXPORTER_PROMETHEUS_PORT"] = str(free.getsockname()[1])
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=30)
    found, rss, cpu, files, threads = json.loads(done.stdout)
    assert found["process_memory_usage_bytes"] == pytest.approx(rss, rel=0.05)
    assert found["process_cpu_time_seconds_total"] == pytest.approx(cpu, abs=0.1)
    assert found["process_open_file_descriptor_count"] == pytest.approx(files, abs=2)
    assert found["process_thread_count"] - threads in {0, 1}  # the thread that answers the scrape may have ended
    assert found["process_context_switches_total"] >= 1
    assert found["cpython_gc_collections_total"] >= 1
