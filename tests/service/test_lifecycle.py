"""Queue, cancellation, failures and shutdown."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from reelbench.service.__main__ import main
from reelbench.service.store.assets import Assets
from reelbench.service.store.backlog import Backlog
from reelbench.service.store.state import State, Written
from tests.service.waiting import until

HTTP = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))

NONE = {"run_id": "", "scenario": "", "case": ""}


def show(running: Any, video: Any) -> Any:
    return HTTP.get(f"{running.url}/v1/videos/{video['id']}").json()


def test_a_full_queue_rejects_with_retry_after_and_recovers(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start(workers=1, queue_size=2)
    providers.gate.clear()
    jobs = [create(running, wait=0) for _ in range(3)]
    answer = HTTP.post(f"{running.url}/v1/videos", json={"prompt": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["code"] == "queue_full"
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert running.points("video.jobs.rejected") == [({"reason": "queue_full", **NONE}, 1)]
    until(lambda: providers.calls["llm"] == 1, "the first job is at the provider")
    assert [show(running, job)["status"] for job in jobs] == ["in_progress", "queued", "queued"]
    assert running.points("video.jobs.active") == [({"state": "queued"}, 2), ({"state": "running"}, 1)]
    providers.gate.set()
    for job in jobs:
        assert HTTP.get(f"{running.url}/v1/videos/{job['id']}/wait").json()["status"] == "completed"
    assert HTTP.post(f"{running.url}/v1/videos", json={"prompt": "x"}).status_code == 200


def test_delete_of_a_running_job_stops_its_calls_and_removes_its_files(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> Any:
    running = start()
    running_calls = providers.gate.clear
    real = providers._llm

    def script_then_hang(payload: Any) -> Any:
        running_calls()
        return real(payload)

    providers.answers["llm"] = script_then_hang
    job = create(running, wait=0)
    until(lambda: providers.calls.total() == 11, "all scene calls are at the providers")
    waiting = []
    waiter = threading.Thread(target=lambda: waiting.append(HTTP.get(f"{running.url}/v1/videos/{job['id']}/wait")))
    waiter.start()
    started = time.monotonic()
    answer = HTTP.delete(f"{running.url}/v1/videos/{job['id']}")
    assert answer.json() == {"id": job["id"], "object": "video.deleted", "deleted": True, "cancelled": True}
    assert time.monotonic() - started < 20, "it does not wait for the calls"
    assert running.points("video.jobs") == [({"outcome": "cancelled", **NONE}, 1)]
    until(lambda: providers.cut_off == {"tts": 5, "image": 5}, "the providers see the connections cut")
    assert list(running.data_dir.iterdir()) == []
    assert HTTP.get(f"{running.url}/v1/videos/{job['id']}").status_code == 404
    assert HTTP.get(f"{running.url}/v1/videos").json()["data"] == []
    waiter.join(60)
    assert waiting[0].status_code == 404
    root = next(span for span in running.finished() if span.name == "video.job")
    assert root.attributes["video.job.outcome"] == "cancelled"
    errors = {labels.get("error.type") for labels, _ in running.points("gen_ai.client.operation.duration")}
    assert errors == {None, "cancelled"}


def test_delete_of_a_queued_job_frees_its_place(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start(workers=1, queue_size=1)
    providers.gate.clear()
    first, second = create(running, wait=0), create(running, wait=0)
    assert HTTP.delete(f"{running.url}/v1/videos/{second['id']}").json()["cancelled"] is True
    assert running.points("video.jobs") == [({"outcome": "cancelled", **NONE}, 1)]
    third = create(running, wait=0)
    providers.gate.set()
    for job in (first, third):
        assert HTTP.get(f"{running.url}/v1/videos/{job['id']}/wait").json()["status"] == "completed"
    assert providers.calls["llm"] == 2


def test_delete_of_a_job_that_had_ended_cancels_nothing(start: Callable[..., Any], create: Callable[..., Any]) -> None:
    running = start()
    job = create(running)
    answer = HTTP.delete(f"{running.url}/v1/videos/{job['id']}")
    assert answer.json() == {"id": job["id"], "object": "video.deleted", "deleted": True, "cancelled": False}
    assert running.points("video.jobs.cancelled.duration") == []


def test_many_deletes_of_one_job_count_it_once(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start()
    providers.gate.clear()
    job = create(running, wait=0)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(HTTP.delete(f"{running.url}/v1/videos/{job['id']}").status_code))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [200, 404, 404, 404, 404]
    assert running.points("video.jobs") == [({"outcome": "cancelled", **NONE}, 1)]


RUBBISH = [
    ("llm", (500, b""), "provider_error"),
    ("llm", (302, b""), "provider_error"),
    ("llm", (200, b""), "provider_invalid_response"),
    ("llm", (200, b"<html>"), "provider_invalid_response"),
    ("llm", (200, b"null"), "provider_invalid_response"),
    ("llm", (200, b'{"choices": []}'), "provider_invalid_response"),
    ("llm", (200, b'{"choices": [{"message": {"content": null}}]}'), "provider_invalid_response"),
    ("llm", (200, b'{"choices": [{"message": {"content": "Sure! Here"}}]}'), "provider_invalid_response"),
    ("llm", (200, b'{"choices": [{"message": {"content": "{\\"scenes\\": []}"}}]}'), "provider_invalid_response"),
    ("llm", (200, b'{"choices": ' + b"[" * 100_000), "provider_invalid_response"),
    ("llm", (200, b"\xff\xfe"), "provider_invalid_response"),
    ("llm", (200, b" " * (33 << 20)), "provider_invalid_response"),
    ("tts", (429, b""), "provider_error"),
    ("tts", (200, b""), "provider_invalid_response"),
    ("tts", (200, b"ID3 mp3"), "provider_invalid_response"),
    ("tts", (200, b"RIFF\xff\xff\xff\xffWAVEfmt "), "provider_invalid_response"),
    ("image", (200, b"{}"), "provider_invalid_response"),
    ("image", (200, b'{"data": [{"b64_json": "!!!"}]}'), "provider_invalid_response"),
    ("image", (200, b'{"data": [{"b64_json": "R0lGODlh"}]}'), "provider_invalid_response"),
]


@pytest.mark.extended
def test_an_invalid_provider_answer_fails_the_job_with_a_clear_error(
    rubbish: Any, create: Callable[..., Any], subtests: pytest.Subtests
) -> None:
    for provider, answer, code in RUBBISH:
        with subtests.test(provider=provider, answer=str(answer)[:80]):
            fake, running = rubbish
            fake.answers = {provider: lambda _, answer=answer: answer}
            before = sum(count for _, count in running.points("video.jobs"))
            video = create(running)
            assert (video["status"], video["error"]["code"]) == ("failed", code)
            assert f"The {provider} provider" in video["error"]["message"]
            assert video["completed_at"] is None
            assert running.points("video.jobs") == [({"outcome": "failed", **NONE}, before + 1)]
            assert HTTP.get(f"{running.url}/health").status_code == 200


@pytest.mark.parametrize("broken", ["truncated", "bomb"])
def test_a_picture_that_cannot_be_decoded_fails_the_job(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any], files: Any, broken: str
) -> None:
    picture = files.png()
    bomb = picture[:16] + (60_000).to_bytes(4) * 2 + picture[24:]
    picture = picture[:60] if broken == "truncated" else bomb
    body = json.dumps({"data": [{"b64_json": base64.b64encode(picture).decode()}]}).encode()
    providers.answers["image"] = lambda _: (200, body)
    video = create(start(breaker=False))
    assert (video["status"], video["error"]["code"]) == ("failed", "provider_invalid_response")


def test_some_failed_scenes_give_a_partial_video(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    real = providers._tts
    providers.answers["tts"] = lambda payload: (500, b"") if payload["input"] == "Narration 2" else real(payload)
    running = start()
    video = create(running)
    assert (video["status"], video["error"]) == ("completed", None)
    scenes = HTTP.get(f"{running.url}/v1/videos/{video['id']}/manifest").json()["scenes"]
    assert [scene["status"] for scene in scenes] == ["completed", "completed", "failed", "completed", "completed"]
    assert scenes[2]["error"] == {"code": "provider_error", "message": "The tts provider answered with status 500."}
    assert running.points("video.jobs") == [({"outcome": "partial", **NONE}, 1)]


def test_an_unreachable_or_slow_provider_fails_the_job(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    running = start(llm_url=nowhere)
    assert create(running)["error"]["code"] == "provider_unavailable"
    providers.gate.clear()
    slow = start(provider_timeout=0.1)
    assert create(slow)["error"] == {
        "code": "provider_timeout",
        "message": "The llm provider did not answer in 0.1 s.",
    }


def test_a_job_has_a_time_limit(start: Callable[..., Any], providers: Any, create: Callable[..., Any]) -> None:
    providers.gate.clear()
    running = start(job_timeout=0.2)
    assert create(running)["error"] == {"code": "job_timeout", "message": "The job did not end in 0.2 s."}
    until(lambda: providers.cut_off["llm"] == 1, "the call is cut")


def test_a_defect_in_the_service_fails_the_job_without_its_details(
    start: Callable[..., Any],
    providers: Any,
    create: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("reelbench.service.pipeline.media.Media.encode", lambda *_: 1 / 0)
    video = create(start())
    assert video["error"] == {"code": "internal_error", "message": "The service failed to make this video."}
    assert "ZeroDivisionError" in caplog.text


def test_without_store_and_backlog_jobs_are_rejected(start: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = start(redis_url=f"redis://127.0.0.1:{port}/0", store_backlog=0)
    for answer in (
        HTTP.post(f"{running.url}/v1/videos", json={"prompt": "x"}),
        HTTP.get(f"{running.url}/v1/videos"),
        HTTP.get(f"{running.url}/ready"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "1"
    assert HTTP.get(f"{running.url}/health").status_code == 200
    assert running.points("video.jobs.rejected") == [({"reason": "store_unavailable", **NONE}, 1)]
    assert list(running.data_dir.iterdir()) == []


def test_shutdown_gives_every_job_a_terminal_state(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any]
) -> None:
    running = start(workers=1)
    providers.gate.clear()
    jobs = [create(running, wait=0) for _ in range(3)]
    running.server.should_exit = True
    running.thread.join(60)
    assert not running.thread.is_alive()
    assert running.points("video.jobs") == [({"outcome": "failed", **NONE}, 3)]
    roots = [span for span in running.finished() if span.name == "video.job"]
    assert {span.attributes["video.id"] for span in roots} == {job["id"] for job in jobs}
    assert {span.attributes["error.type"] for span in roots} == {"service_shutdown"}


@pytest.mark.acceptance
@pytest.mark.parametrize("name", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.extended)])
def test_a_signal_flushes_spans_and_ends_the_process(process: Any, providers: Any, name: Any) -> None:
    providers.gate.clear()
    job = HTTP.post(f"{process.url}/v1/videos", json={"prompt": "x"}).json()
    host, port = process.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as waiter:
        waiter.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert waiter.recv(65536).startswith(b"HTTP/1.1 200")
        waiter.sendall(f"GET /v1/videos/{job['id']}/wait HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        until(lambda: providers.calls["llm"] == 1, "the job runs")
        time.sleep(0.2)
        until(lambda: len(psutil.Process(process.pid).children()) == 2, "both media processes are there")
        workers = psutil.Process(process.pid).children()
        started = time.monotonic()
        os.killpg(process.pid, name)  # as a terminal does on Ctrl-C
        waited = b"".join(iter(lambda: waiter.recv(65536), b""))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert time.monotonic() - started < 20
    video = json.loads(waited.partition(b"\r\n\r\n")[2])
    assert (video["status"], video["error"]["code"]) == ("failed", "service_shutdown")
    spans = [
        span
        for line in out.splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert {"video.job", "video.job.queue", "POST /v1/videos"} <= {span["name"] for span in spans}
    assert b"Traceback" not in err
    assert b"died" not in err
    assert not any(worker.is_running() for worker in workers)


def test_an_invalid_configuration_is_one_sentence_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    for name, value, sentence in [
        ("SERVICE_WORKERS", "0", "SERVICE_WORKERS: Input should be greater than or equal to 1."),
        ("SERVICE_LLM_URL", "nonsense", "SERVICE_LLM_URL: String should match pattern"),
        ("SERVICE_DATA_DIR", "/proc/nowhere", "The data folder /proc/nowhere cannot be used ("),
        ("OTEL_TRACES_EXPORTER", "nonsense", "Telemetry cannot start (Requested component 'nonsense'"),
    ]:
        with subtests.test(name=name), monkeypatch.context() as environment:
            environment.setenv(name, value)
            handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
            code: str | int | None
            try:
                code = main(["--port", "0"])
            except SystemExit as leaving:
                code = leaving.code
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
            output = capsys.readouterr()
            assert (code, output.out) == (2, "")
            assert output.err.startswith(sentence)
            assert output.err.count("\n") == 1


@pytest.mark.parametrize("body", [b'{"data":' + b"[" * 3000, b"{"], ids=["deep", "broken"])
def test_a_too_deeply_nested_answer_is_retried(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any], body: bytes
) -> None:
    running = start(scenes=1, retry_wait_initial=0.001, retry_wait_max=0.001)
    providers.answers["image"] = lambda _: (200, body)
    video = create(running)
    assert (video["status"], video["error"]["code"]) == ("failed", "provider_invalid_response")
    assert providers.calls["image"] == 4


def test_a_file_that_cannot_be_stored_fails_only_its_scene(
    start: Callable[..., Any], create: Callable[..., Any], http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Assets.write

    def full(self: Assets, video_id: str, name: str, content: bytes, media_type: str) -> Any:
        if name == "scene-2.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, video_id, name, content, media_type)

    monkeypatch.setattr(Assets, "write", full)
    running = start()
    video = create(running)
    manifest = http.get(f"{running.url}/v1/videos/{video['id']}/manifest").json()
    assert video["status"] == "completed"
    assert [scene["status"] for scene in manifest["scenes"]] == ["completed"] * 2 + ["failed"] + ["completed"] * 2
    assert manifest["scenes"][2]["error"] == {
        "code": "storage_unavailable",
        "message": "The file 'scene-2.png' could not be stored (No space left on device).",
    }


def test_a_job_ends_even_if_its_files_cannot_be_removed(
    start: Callable[..., Any], providers: Any, create: Callable[..., Any], http: httpx.Client, monkeypatch: Any
) -> None:
    running = start(workers=1)
    providers.gate.clear()
    jobs = [create(running, wait=0) for _ in range(2)]

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("reelbench.service.store.assets.Path.rename", refuse)
    for job in jobs:
        assert http.delete(f"{running.url}/v1/videos/{job['id']}").json()["deleted"] is True
        assert http.get(f"{running.url}/v1/videos/{job['id']}").status_code == 404


@pytest.mark.extended
@pytest.mark.parametrize("module", ["reelbench.service", "reelbench.service.providers"])
def test_a_missing_extra_is_named_without_a_traceback(module: str) -> None:
    code = f"import runpy, sys; sys.modules['fastapi'] = None; runpy.run_module('{module}', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "fastapi" in done.stderr
    assert "pip install 'reelbench[embedded]'" in done.stderr


def test_content_is_there_as_soon_as_the_store_shows_the_end(
    start: Callable[..., Any], create: Callable[..., Any], http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another instance answers from the store, and its client may fetch the content from the instance of the job."""
    stored, update = threading.Event(), Backlog.update

    async def slow(self: Backlog, state: State) -> Written:
        written = await update(self, state)
        if state.terminal:
            stored.set()
            await asyncio.sleep(0.5)
        return written

    monkeypatch.setattr(Backlog, "update", slow)
    running = start()
    url = f"{running.url}/v1/videos/{create(running, wait=0)['id']}"
    assert stored.wait(10)
    assert http.get(url).json()["status"] == "in_progress"
    assert http.get(f"{url}/content").status_code == 200
    assert http.get(url).json()["status"] == "completed"
