"""Retries and circuit breakers, counted at the providers."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reelbench.service.domain.correlation import Correlation
from reelbench.service.domain.errors import ProviderError
from reelbench.service.metrics import Metrics
from reelbench.service.provider_client.client import ProviderClient, _retry_after
from reelbench.service.provider_client.requests import ProviderAnswer, ProviderRequest
from reelbench.service.provider_client.resilience import Resilience
from reelbench.service.settings import Settings
from tests.service.waiting import loop_until

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))
NONE = {"run_id": "", "scenario": "", "case": ""}
LABELS = {"run_id": "r1", "scenario": "tts_failures", "case": "c"}
FAST = {"retry_wait_initial": 0.001, "retry_wait_max": 0.002, "provider_timeout": 5}
SPEECH = ProviderRequest("text_to_speech", "/v1/audio/speech", "m", {"input": "x"}, ProviderAnswer)


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

        self.waits: list[float] = []
        self.frozen = False

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(60 if self.frozen else 0)


class Client:
    """A client of the fake TTS provider, with its metrics."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.reader, self.spans, self.time = InMemoryMetricReader(), InMemorySpanExporter(), Time()
        self.meters, self.tracers = MeterProvider([self.reader]), TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer = self.tracers.get_tracer("test")
        metrics = Metrics(self.meters.get_meter("test"))
        chosen = Settings(**FAST | settings)
        self.toggles = chosen.toggles()
        self.resilience = Resilience("tts", chosen, self.toggles, metrics, self.time, sleep=self.time.sleep)  # type: ignore[arg-type]
        self.breaker = self.resilience.breaker
        self.client = ProviderClient(
            "tts",
            url,
            self.resilience,
            chosen,
            self.toggles,
            tracer=self.tracer,
            metrics=metrics,
            clock=self.time,  # type: ignore[arg-type]
        )

    async def call(self) -> Any:
        return await self.client.call(SPEECH, Correlation(**LABELS))

    async def error(self) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.call()
        return caught.value

    def counts(self, name: str, *keys: str) -> dict[Any, Any]:
        data: Any = self.reader.get_metrics_data()
        points = [
            point
            for scope in data.resource_metrics[0].scope_metrics
            for metric in scope.metrics
            if metric.name == f"resilience.{name}"
            for point in metric.data.data_points
        ]
        for point in points:
            assert point.attributes["provider"] == "tts"
            if name.startswith(("retry", "circuitbreaker.not")):
                assert {key: point.attributes[key] for key in LABELS} == LABELS
        return {tuple(point.attributes[key] for key in keys): point.value for point in points}


@pytest.fixture
async def make(providers: Any) -> AsyncIterator[Callable[..., Client]]:
    made: list[Client] = []

    def new(**settings: Any) -> Client:
        made.append(Client(providers.url, **settings))
        return made[-1]

    yield new
    for client in made:
        await client.client.close()
        client.meters.shutdown()
        client.tracers.shutdown()


def answers(*statuses: int) -> Callable[[Any], tuple[int, bytes]]:
    """Return the answers in order, then repeat the last one."""
    left = itertools.chain(statuses, itertools.repeat(statuses[-1]))
    return lambda _: (next(left), b"body")


async def test_transient_statuses_get_the_configured_attempts(
    make: Any, providers: Any, subtests: pytest.Subtests
) -> None:
    for status in [408, 429, 500, 502, 503, 504, 599]:
        with subtests.test(status=status):
            providers.calls.clear()
            providers.answers["tts"] = answers(status)
            client = make(retry_attempts=3)
            error = await client.error()
            assert (error.code, error.message) == ("provider_error", f"The tts provider answered with status {status}.")
            assert providers.calls["tts"] == 3
            assert client.counts("retry.attempts") == {(): 3}
            assert client.counts("retry.calls", "kind") == {("failed_with_retry",): 1}
            assert client.counts("circuitbreaker.calls", "kind") == {("failed",): 3}
            spans = client.spans.get_finished_spans()
            assert [span.attributes.get("http.request.resend_count") for span in spans] == [None, 1, 2]


async def test_other_statuses_are_not_retried_and_ignored_by_the_breaker(
    make: Any, providers: Any, subtests: pytest.Subtests
) -> None:
    for status in [302, 400, 401, 403, 404, 422, 451]:
        with subtests.test(status=status):
            providers.calls.clear()
            providers.answers["tts"] = answers(status)
            client = make(breaker_failures=1)
            for _ in range(3):
                await client.error()
            assert providers.calls["tts"] == 3
            assert client.counts("retry.calls", "kind") == {("failed_without_retry",): 3}
            assert client.counts("circuitbreaker.calls", "kind") == {("ignored",): 3}
            assert client.breaker.state().state == "closed"


async def test_unusable_answers_and_lost_connections_are_retried(make: Any, providers: Any) -> None:
    bodies = iter([b"corrupt", b"good"])
    providers.answers["tts"] = lambda _: (200, next(bodies))

    def read(body: bytes) -> ProviderAnswer[bytes]:
        if body != b"good":
            raise ValueError("corrupt")
        return ProviderAnswer(body)

    client = make()
    call = ProviderRequest("text_to_speech", "/v1/audio/speech", "m", {}, read)
    assert await client.client.call(call, Correlation(**LABELS)) == b"good"
    assert providers.calls["tts"] == 2
    assert client.counts("retry.calls", "kind") == {("successful_with_retry",): 1}
    client.client._base = "http://127.0.0.1:1"
    assert (await client.error()).code == "provider_unavailable"
    assert client.counts("retry.attempts") == {(): 2 + 4}


async def test_thirty_per_cent_errors_on_an_exact_schedule_over_100_calls(make: Any, providers: Any) -> None:
    # Of ten answers the 1st, 2nd and 6th fail: 70 good ones and the failures before them.
    pattern = itertools.cycle([500, 503, 200, 200, 200, 429, 200, 200, 200, 200])
    providers.answers["tts"] = lambda _: (next(pattern), b"body")
    client = make()
    assert [await client.call() for _ in range(100)] == [b"body"] * 100
    # 14 rounds give 98 good answers in 140 attempts, 28 of the calls after a retry; two more calls take 4 attempts.
    assert providers.calls["tts"] == 144
    assert client.counts("retry.attempts") == {(): 144}
    kinds = client.counts("retry.calls", "kind")
    assert kinds == {("successful_without_retry",): 71, ("successful_with_retry",): 29}
    assert client.counts("circuitbreaker.calls", "kind") == {("successful",): 100, ("failed",): 44}
    assert client.counts("circuitbreaker.transitions", "from", "to") == {}


async def test_retries_and_breaker_can_be_switched_off(make: Any, providers: Any) -> None:
    providers.answers["tts"] = answers(500)
    client = make(retries=False, breaker=False)
    for _ in range(30):
        assert (await client.error()).code == "provider_error"
    assert providers.calls["tts"] == 30
    assert client.breaker is None
    assert client.counts("retry.calls", "kind") == {("failed_without_retry",): 30}


async def test_retry_after_is_honoured_up_to_the_longest_wait(make: Any, providers: Any) -> None:
    from aiohttp import web  # noqa: PLC0415 - for this provider alone

    waits = iter(["0", "3600", formatdate(0, usegmt=True), None])

    async def handle(_request: web.Request) -> web.Response:
        wait = next(waits)
        return web.Response(body=b"x") if wait is None else web.Response(status=429, headers={"Retry-After": wait})

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = make(retry_wait_initial=30, retry_wait_max=0.2)
    client.client._base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    assert await client.call() == b"x"
    assert client.time.waits == [0, 0.2, 0]
    assert client.counts("retry.backoff") == {(): 0.2}
    await runner.cleanup()


def test_retry_after_is_validated(subtests: pytest.Subtests) -> None:
    for value, seconds in [
        (None, None),
        ("7", 7.0),
        ("-7", None),
        ("nan", None),
        ("soon", None),
        ("9" * 400, float("inf")),
        ("²", None),
    ]:
        with subtests.test(value=str(value)[:40]):
            assert _retry_after(value) == seconds


async def test_cancellation_during_backoff_stops_at_once_and_is_not_a_failure(make: Any, providers: Any) -> None:
    providers.answers["tts"] = answers(500)
    client = make(retry_wait_initial=60, retry_wait_max=60)
    client.time.frozen = True
    task = asyncio.create_task(client.call())
    await loop_until(lambda: client.counts("retry.backoff"))
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert providers.calls["tts"] == 1
    assert client.counts("retry.calls", "kind") == {}


async def opened(client: Client, providers: Any, failures: int) -> None:
    providers.answers["tts"] = answers(500)
    before = providers.calls["tts"]
    for _ in range(failures):
        assert client.breaker is not None
        assert client.breaker.state().state == "closed"
        await client.error()
    assert client.breaker.state().state == "open"
    assert providers.calls["tts"] - before == failures


async def test_the_breaker_opens_after_consecutive_failures_and_rejects_calls(make: Any, providers: Any) -> None:
    client = make(retries=False, breaker_failures=5)
    await opened(client, providers, 5)
    for _ in range(200):
        error = await client.error()
    assert (error.code, error.error_type) == ("provider_circuit_open", "circuit_open")
    assert error.message == (
        "The tts provider was not called, as its circuit breaker is open. "
        "The cause: The tts provider answered with status 500."
    )
    assert providers.calls["tts"] == 5
    assert client.counts("circuitbreaker.not_permitted.calls") == {(): 200}
    assert client.counts("circuitbreaker.calls", "kind") == {("failed",): 5}
    assert client.counts("circuitbreaker.state", "state") == {("closed",): 0, ("open",): 1, ("half_open",): 0}


async def test_the_breaker_opens_at_the_failure_rate_of_a_full_window(make: Any, providers: Any) -> None:
    client = make(retries=False, breaker_failures=100, breaker_window=10, breaker_failure_rate=0.5)
    providers.answers["tts"] = answers(500, 200, 500, 200, 500, 200, 200, 200, 500, 500)
    states = []
    for _ in range(10):
        await asyncio.gather(client.call(), return_exceptions=True)
        states.append(client.breaker.state().state)
    assert states == ["closed"] * 9 + ["open"]


async def test_an_attempt_rejected_by_the_breaker_ends_the_call(make: Any, providers: Any) -> None:
    client = make(breaker_failures=2)
    providers.answers["tts"] = answers(500)
    assert (await client.error()).code == "provider_circuit_open"
    assert providers.calls["tts"] == 2
    assert client.counts("retry.attempts") == {(): 4}
    assert client.counts("circuitbreaker.not_permitted.calls") == {(): 2}
    assert client.counts("retry.calls", "kind") == {("failed_with_retry",): 1}


async def test_half_open_admits_one_of_20_calls_and_closes_on_success(make: Any, providers: Any) -> None:
    client = make(retries=False, breaker_failures=3)
    await opened(client, providers, 3)
    client.time.at += 1.999
    await client.error()
    assert providers.calls["tts"] == 3
    client.time.at += 0.001
    providers.answers["tts"] = answers(200)
    providers.gate.clear()
    calls = [asyncio.create_task(client.call()) for _ in range(20)]
    # The other 19 are rejected while the probe still hangs.
    done, (probe,) = await asyncio.wait(calls, timeout=1)
    assert [task.exception().code for task in done] == ["provider_circuit_open"] * 19
    assert client.breaker.state().state == "half_open"
    assert client.counts("circuitbreaker.state", "state") == {("closed",): 0, ("open",): 0, ("half_open",): 1}
    providers.gate.set()
    assert await probe == b"body"
    assert providers.calls["tts"] == 4
    state = client.breaker.state()
    assert state.state == "closed"
    assert [(found.at, found.before, found.after) for found in state.transitions] == [
        (1000, "closed", "open"),
        (1002, "open", "half_open"),
        (1002, "half_open", "closed"),
    ]
    assert await client.call() == b"body"
    assert client.counts("circuitbreaker.transitions", "from", "to") == {
        ("closed", "open"): 1,
        ("open", "half_open"): 1,
        ("half_open", "closed"): 1,
    }


async def test_a_failed_probe_opens_the_breaker_for_the_full_time(make: Any, providers: Any) -> None:
    client = make(retries=False, breaker_failures=3)
    await opened(client, providers, 3)
    client.time.at += 2
    assert (await client.error()).code == "provider_error"
    assert client.breaker.state().state == "open"
    client.time.at += 1.9
    assert (await client.error()).code == "provider_circuit_open"
    assert providers.calls["tts"] == 4


@pytest.mark.parametrize("how", ["cancelled", "refused"])
async def test_a_probe_without_result_is_replaced_by_the_next_call(make: Any, providers: Any, how: str) -> None:
    client = make(retries=False, breaker_failures=3)
    await opened(client, providers, 3)
    client.time.at += 2
    providers.answers["tts"] = answers(400, 200)
    if how == "cancelled":
        providers.answers["tts"] = answers(200)
        for count in (4, 5, 6):
            providers.gate.clear()
            probe = asyncio.create_task(client.call())
            await loop_until(lambda count=count: providers.calls["tts"] == count)  # a default has no type
            probe.cancel()
            with pytest.raises(asyncio.CancelledError):
                await probe
        providers.gate.set()
    else:
        await client.error()
    assert client.breaker.state().state == "half_open"
    assert await client.call() == b"body"
    assert client.breaker.state().state == "closed"
    assert client.counts("circuitbreaker.calls", "kind") == {
        ("failed",): 3,
        ("ignored",): 3 if how == "cancelled" else 1,
        ("successful",): 1,
    }


async def test_cancelled_calls_do_not_open_the_breaker(make: Any, providers: Any) -> None:
    client = make(breaker_failures=1)
    providers.gate.clear()
    calls = [asyncio.create_task(client.call()) for _ in range(20)]
    await loop_until(lambda: providers.calls["tts"] == 20)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    providers.gate.set()
    providers.answers["tts"] = answers(200)
    assert await client.call() == b"body"
    assert client.counts("circuitbreaker.calls", "kind") == {("ignored",): 20, ("successful",): 1}
    assert client.counts("circuitbreaker.transitions", "from", "to") == {}


async def test_retries_and_transitions_are_events_of_the_current_span(make: Any, providers: Any) -> None:
    client = make(breaker_failures=2, retry_attempts=3)
    providers.answers["tts"] = answers(503)
    with client.tracer.start_as_current_span("stage"):
        await client.error()
    stage = next(span for span in client.spans.get_finished_spans() if span.name == "stage")
    events = [(event.name, {**event.attributes, "backoff": None}) for event in stage.events]
    retry = {"provider": "tts", "backoff": None}
    assert events == [
        ("resilience.retry", {**retry, "attempt": 1, "error.type": "503"}),
        ("resilience.circuitbreaker.transition", {**retry, "from": "closed", "to": "open"}),
        ("resilience.retry", {**retry, "attempt": 2, "error.type": "503"}),
    ]


def test_an_outage_fails_jobs_fast_and_is_visible_to_the_operator(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    providers.answers["llm"] = lambda _: (503, b"")
    running = start(admin=True, breaker_failures=5, breaker_open_time=1.0, **FAST)
    before = time.time()
    videos = [create(running) for _ in range(4)]
    assert [video["error"]["code"] for video in videos] == ["provider_error"] + ["provider_circuit_open"] * 3
    assert providers.calls == {"llm": 5}
    breakers = HTTP.get(f"{running.url}/v1/admin/breakers").json()
    assert breakers["object"] == "list"
    llm, tts, image = breakers["data"]
    (transition,) = llm["transitions"]
    assert (llm["provider"], llm["state"], llm["since"]) == ("llm", "open", transition["at"])
    assert (transition["from"], transition["to"]) == ("closed", "open")
    assert before < transition["at"] < time.time()
    assert [(tts["state"], tts["transitions"]), (image["state"], image["transitions"])] == [("closed", [])] * 2
    del providers.answers["llm"]
    time.sleep(1.0)
    assert create(running)["status"] == "completed"
    moves = HTTP.get(f"{running.url}/v1/admin/breakers").json()["data"][0]["transitions"]
    assert [move["to"] for move in moves] == ["open", "half_open", "closed"]


def test_admin_endpoints_do_not_exist_unless_switched_on(shared: Any) -> None:
    answer = HTTP.get(f"{shared.url}/v1/admin/breakers")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
    assert answer.json()["error"] == {
        "message": "Unknown path: GET /v1/admin/breakers.",
        "type": "invalid_request_error",
        "param": None,
        "code": "unknown_url",
    }


def test_admin_endpoints_refuse_remote_callers(start: Callable[..., Any]) -> None:
    running = start(admin=True)
    # uvicorn takes the caller's address from a proxy on this host.
    for address, status in (("203.0.113.7", 403), ("127.0.0.1", 200)):
        answer = HTTP.get(f"{running.url}/v1/admin/breakers", headers={"X-Forwarded-For": address})
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["error"]["code"] == "loopback_only"


def test_failed_scenes_are_reported_with_provider_and_cause(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    tts, image = providers._tts, providers._image
    providers.answers["tts"] = lambda payload: (500, b"") if payload["input"] == "Narration 2" else tts(payload)
    providers.answers["image"] = lambda payload: (400, b"") if payload["prompt"][6] == "4" else image(payload)
    running = start(**FAST)
    video = create(running)
    assert (video["status"], video["error"]) == ("completed", None)
    manifest = HTTP.get(f"{running.url}/v1/videos/{video['id']}/manifest").json()
    assert {scene["index"]: scene["error"] for scene in manifest["scenes"] if scene["status"] == "failed"} == {
        2: {"code": "provider_error", "message": "The tts provider answered with status 500."},
        4: {"code": "provider_error", "message": "The image provider answered with status 400."},
    }
    assert [scene["audio"] is None for scene in manifest["scenes"]] == [False, False, True, False, False]
    assert running.points("video.jobs") == [({"outcome": "partial", **NONE}, 1)]
    assert providers.calls == {"llm": 1, "tts": 4 + 4, "image": 5}
    kinds = {(labels["provider"], labels["kind"]): value for labels, value in running.points("resilience.retry.calls")}
    assert kinds == {
        ("llm", "successful_without_retry"): 1,
        ("tts", "successful_without_retry"): 4,
        ("tts", "failed_with_retry"): 1,
        ("image", "successful_without_retry"): 4,
        ("image", "failed_without_retry"): 1,
    }


def test_cancellation_time_is_measured_once_per_job(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start()
    providers.gate.clear()
    job = create(running, wait=0)
    answers: Counter[int] = Counter()

    def delete() -> None:
        answers[HTTP.delete(f"{running.url}/v1/videos/{job['id']}").status_code] += 1

    threads = [threading.Thread(target=delete) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {200: 1, 404: 2}
    ((labels, (count, seconds)),) = running.points("video.jobs.cancelled.duration")
    assert (labels, count) == (NONE, 1)
    assert 0 < seconds < 20
    providers.gate.set()
    done = create(running)
    HTTP.delete(f"{running.url}/v1/videos/{done['id']}")
    ((_, (count, _)),) = running.points("video.jobs.cancelled.duration")
    assert count == 1
    assert json.dumps(done["status"]) == '"completed"'
