"""The providers as a process: the openai client, exported telemetry, and a clean exit."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    url: str
    metrics_url: str
    traces: Path
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(port: int, environment: dict[str, str], traces: Path, log: Path) -> subprocess.Popen[bytes]:
    with traces.open("wb") as out, log.open("wb") as messages:
        return subprocess.Popen(
            [sys.executable, "-m", "reelbench.service.providers", "--port", str(port)],
            stdout=out,
            stderr=messages,
            cwd=ROOT,
            env=os.environ | environment,
        )


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """The providers as a process, with their telemetry in `folder`."""
    port, metrics_port = free_port(), free_port()
    environment = {f"PROVIDERS_{name}__MEDIAN": "0.005" for name in ("LLM", "TTS", "IMAGE")} | {
        "PROVIDERS_FAULTS": "true",
        "OTEL_TRACES_EXPORTER": "otlp_json_file",
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(metrics_port),
    }
    process = start(port, environment, folder / "traces", folder / "log")
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health"):  # noqa: S310 - our own server
                break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    try:
        yield Server(process, url, f"http://127.0.0.1:{metrics_port}/metrics", folder / "traces", folder / "log")
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("providers")) as server:
        yield server


def client_of(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with client_of(server) as client:
        yield client


def test_openai_client_chats(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Queues grow. Retries help. Breakers open."}],
        metadata={"scenes": "3"},
        response_format={"type": "json_object"},
    )
    scenes = json.loads(answer.choices[0].message.content or "")["scenes"]
    assert len(scenes) == 3
    assert set(scenes[0]) == {"title", "narration", "visual_type"}
    assert answer.object == "chat.completion"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_openai_client_speaks(client: openai.OpenAI) -> None:
    answer = client.audio.speech.create(model="gpt-4o-mini-tts", input="Hello", voice="alloy", response_format="wav")
    assert answer.content[:4] == b"RIFF"
    assert answer.response.headers["content-type"] == "audio/wav"


def test_openai_client_draws(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="gpt-image-1", prompt="A diagram of a queue", size="1024x1536", n=2, output_format="png"
    )
    assert [base64.b64decode(datum.b64_json or "")[:4] for datum in answer.data] == [b"\x89PNG"] * 2
    assert answer.usage.input_tokens == 5


def test_openai_client_raises_its_own_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], metadata={"scenes": "99"}
        )
    assert refused.value.param == "metadata.scenes"
    assert "'99' is not a number of scenes from 1 to 20." in refused.value.message


@pytest.mark.extended
def test_an_occupied_port_is_one_sentence_with_exit_code_2(server: Server, tmp_path: Path) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    process = start(port, {}, tmp_path / "traces", tmp_path / "log")
    assert process.wait(20) == 2
    assert (tmp_path / "log").read_text() == (
        f"Cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port.\n"
    )


@pytest.mark.extended
def test_shutdown_flushes_telemetry_and_exits_cleanly(tmp_path: Path) -> None:
    with running(tmp_path) as server, client_of(server) as one:
        test_openai_client_chats(one)
        test_openai_client_speaks(one)
        test_openai_client_draws(one)
        test_openai_client_raises_its_own_error(one)
        ends_cleanly(server, one)


def ends_cleanly(server: Server, one: openai.OpenAI) -> None:
    """Check the telemetry after four calls, of which one was rejected."""
    with urllib.request.urlopen(server.metrics_url) as answer:  # noqa: S310 - our own server
        exposed = answer.read().decode()
    requests = {
        line.split('provider="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1])
        for line in exposed.splitlines()
        if line.startswith("provider_requests_total{") and 'outcome="ok"' in line
    }
    assert requests == {"llm": 1, "tts": 1, "image": 1}
    plan = json.dumps({"seed": 1, "rules": [{"provider": "tts", "kind": "stall"}]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/faults", plan, method="PUT")) as answer:  # noqa: S310 - our own server
        assert json.load(answer)["calls"] == {"llm": 2, "tts": 1, "image": 1}
    with ThreadPoolExecutor() as pool:
        stalled = pool.submit(
            one.audio.speech.create, model="m", input="x", voice="alloy", response_format="wav", timeout=20
        )
        while 'outcome="stall"' not in urllib.request.urlopen(server.metrics_url).read().decode():  # noqa: S310 - our own server
            time.sleep(0.02)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert stalled.exception().code == "stall"  # the answer of the server, before the client's own timeout
    assert "Traceback" not in server.log.read_text()
    spans = [
        (span["name"], span["kind"], scope["scope"]["name"])
        for line in server.traces.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert sorted(name for name, _, _ in spans) == [
        "POST /v1/audio/speech",
        "POST /v1/audio/speech",
        "POST /v1/chat/completions",
        "POST /v1/chat/completions",
        "POST /v1/images/generations",
    ]
    assert {kind for _, kind, _ in spans} == {2}
