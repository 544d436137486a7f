"""Traces and metrics of a job: values, labels and parents."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "baggage": "run_id=r1,scenario=normal_operation,case=n05"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
LABELS = {"run_id": "r1", "scenario": "normal_operation", "case": "n05"}


@pytest.fixture
def job(start: Callable[..., Any], create: Callable[..., Any]) -> Any:
    running = start()
    video = create(running, wait=0, headers=HEADERS)
    video = HTTP.get(f"{running.url}/v1/videos/{video['id']}/wait", headers=UNSAMPLED).json()
    assert video["status"] == "completed"
    return running, video


def test_one_job_is_one_trace_with_the_right_parents(job: Any) -> None:
    running, video = job
    spans = running.finished()
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}
    names = Counter(span.name for span in spans)
    assert names == {
        "POST /v1/videos": 1,
        "video.job": 1,
        "video.job.queue": 1,
        "video.job.stage parse": 1,
        "video.job.stage script": 1,
        "video.job.stage speech": 5,
        "video.job.stage visual": 5,
        "video.job.stage compose": 1,
        "chat gpt-4o-mini": 1,
        "text_to_speech gpt-4o-mini-tts": 5,
        "image_generation gpt-image-1": 5,
    }
    by_id = {span.context.span_id: span for span in spans}
    parents = {(span.name, by_id[span.parent.span_id].name) for span in spans if span.parent.span_id in by_id}
    assert parents == {
        ("video.job", "POST /v1/videos"),
        ("video.job.queue", "video.job"),
        *((f"video.job.stage {name}", "video.job") for name in ("parse", "script", "speech", "visual", "compose")),
        ("chat gpt-4o-mini", "video.job.stage script"),
        ("text_to_speech gpt-4o-mini-tts", "video.job.stage speech"),
        ("image_generation gpt-image-1", "video.job.stage visual"),
    }
    server = next(span for span in spans if span.name == "POST /v1/videos")
    assert (f"{server.parent.span_id:016x}", server.kind) == (PARENT, SpanKind.SERVER)
    assert server.attributes["http.request.method"] == "POST"
    root = next(span for span in spans if span.name == "video.job")
    assert dict(root.attributes) == {"video.id": video["id"], "video.job.outcome": "completed", **LABELS}
    speech = [span for span in spans if span.name == "video.job.stage speech"]
    assert {span.attributes["scene"] for span in speech} == {0, 1, 2, 3, 4}
    assert dict(speech[0].attributes) == {"stage": "speech", "scene": speech[0].attributes["scene"], **LABELS}
    chat = next(span for span in spans if span.name.startswith("chat"))
    assert chat.kind is SpanKind.CLIENT
    assert (chat.attributes["gen_ai.usage.input_tokens"], chat.attributes["gen_ai.usage.output_tokens"]) == (100, 40)


def test_provider_calls_carry_trace_and_baggage(job: Any, providers: Any) -> None:
    running, _ = job
    calls = {f"{span.context.span_id:016x}" for span in running.finished() if span.kind is SpanKind.CLIENT}
    assert len(calls) == 11
    sent = [request[1] for request in providers.requests]
    assert {headers["traceparent"] for headers in sent} == {f"00-{TRACE}-{call}-01" for call in calls}
    assert {headers["baggage"] for headers in sent} == {"run_id=r1,scenario=normal_operation,case=n05"}


def test_metrics_of_one_job(job: Any) -> None:
    running, _ = job
    completed = {"outcome": "completed", **LABELS}
    assert running.points("video.jobs") == [(completed, 1)]
    assert running.points("video.jobs.accepted") == [(LABELS, 1)]
    assert running.points("video.jobs.rejected") == []
    ((labels, (count, seconds)),) = running.points("video.job.duration")
    root = next(span for span in running.finished() if span.name == "video.job")
    assert (labels, count) == (completed, 1)
    assert seconds == pytest.approx((root.end_time - root.start_time) / 1e9, abs=0.02)
    assert [(labels, point[0]) for labels, point in running.points("video.job.queue.duration")] == [(LABELS, 1)]
    assert sorted(
        (labels["stage"], labels["outcome"], point[0]) for labels, point in running.points("video.job.stage.duration")
    ) == [
        ("compose", "ok", 1),
        ("parse", "ok", 1),
        ("script", "ok", 1),
        ("speech", "ok", 5),
        ("visual", "ok", 5),
    ]
    assert running.points("video.jobs.active") == [({"state": "queued"}, 0), ({"state": "running"}, 0)]
    calls = {tuple(labels.values()): point[0] for labels, point in running.points("gen_ai.client.operation.duration")}
    assert calls == {
        ("chat", "llm", "gpt-4o-mini"): 1,
        ("text_to_speech", "tts", "gpt-4o-mini-tts"): 5,
        ("image_generation", "image", "gpt-image-1"): 5,
    }
    tokens = {
        (labels["gen_ai.operation.name"], labels["gen_ai.provider.name"], labels["gen_ai.token.type"]): point
        for labels, point in running.points("gen_ai.client.token.usage")
    }
    assert tokens == {
        ("chat", "llm", "input"): (1, 100),
        ("chat", "llm", "output"): (1, 40),
        ("image_generation", "image", "input"): (5, 35),
        ("image_generation", "image", "output"): (5, 150),
    }
    stored = {labels["db.operation.name"]: point[0] for labels, point in running.points("db.client.operation.duration")}
    assert stored == {"SET": 3}
    # The instrumentation counts a request after its answer was sent, so stop the service first.
    running.server.should_exit = True
    running.thread.join(60)
    requests = running.points("http.server.request.duration")
    routes = {(labels["http.route"], labels["http.response.status_code"]): point[0] for labels, point in requests}
    assert routes == {("/v1/videos", 200): 1, ("/v1/videos/{video_id}/wait", 200): 1}


def test_probes_are_neither_traced_nor_counted(start: Callable[..., Any]) -> None:
    running = start()
    for path in ("/health", "/ready"):
        assert HTTP.get(running.url + path).status_code == 200
    assert running.finished() == []
    assert running.points("http.server.request.duration") == []


def test_a_failed_job_is_counted_and_marked(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    providers.answers["llm"] = lambda _: (503, b"")
    running = start()
    assert create(running)["status"] == "failed"
    none = {"run_id": "", "scenario": "", "case": ""}
    assert running.points("video.jobs") == [({"outcome": "failed", **none}, 1)]
    stages = {
        (labels["stage"], labels["outcome"]): point[0] for labels, point in running.points("video.job.stage.duration")
    }
    assert stages == {("parse", "ok"): 1, ("script", "error"): 1}
    ((labels, (count, _)),) = running.points("gen_ai.client.operation.duration")
    assert (labels["error.type"], count) == ("503", 4)
    errors = {span.name for span in running.finished() if span.status.status_code is StatusCode.ERROR}
    assert errors == {"video.job", "video.job.stage script", "chat gpt-4o-mini"}


@pytest.mark.extended
def test_without_otel_variables_the_sdk_is_not_loaded() -> None:
    code = (
        "import sys; from reelbench.service import telemetry; telemetry.configure('service'); telemetry.shutdown(); "
        "sys.exit('opentelemetry.sdk' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
