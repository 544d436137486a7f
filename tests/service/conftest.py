"""A running service with fake providers that a test controls."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import uvicorn
from aiohttp import web
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from PIL import Image

from reelbench.service.api.app import create_app
from reelbench.service.pipeline.workers import Workers
from reelbench.service.providers.app import Settings as ProviderSettings
from reelbench.service.providers.app import create_app as create_providers
from reelbench.service.settings import Settings
from tests.data_helper import encrypted_pdf, page_of, pdf
from tests.service.shared_workers import SharedWorkers

# Each client of httpx reads the authorities of TLS for 0.07 s of CPU; here all of them speak HTTP on loopback.
patch("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context)).start()

VISUALS = ("illustration", "diagram", "chart")
COLOURS = ("red", "lime", "blue", "yellow", "magenta")
Point = tuple[dict[str, object], object]


def png(colour: str = "red", size: tuple[int, int] = (64, 96)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def wav(seconds: float = 0.5, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(b"\x11\x22" * (int(seconds * rate) * channels * width // 2))
    return file.getvalue()


class FakeProviders:
    """All three providers; `answers` overrides the answer of a path, and while `gate` is clear every call hangs."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.cut_off: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.peers: dict[str, set[object]] = {"llm": set(), "tts": set(), "image": set()}
        self.requests: list[tuple[str, dict[str, str], dict[str, object]]] = []
        self.answers: dict[str, Callable[[dict[str, object]], tuple[int, bytes]]] = {}
        self.gate = threading.Event()
        self.gate.set()

    async def handle(self, request: web.Request) -> web.Response:
        name = {"completions": "llm", "speech": "tts", "generations": "image"}[request.path.rsplit("/", 1)[1]]
        payload = await request.json()
        self.calls[name] += 1
        self.received[name] += len(await request.read())
        self.peers[name].add(request.transport.get_extra_info("peername"))
        self.requests.append((name, dict(request.headers), payload))
        try:
            while not self.gate.is_set():  # noqa: ASYNC110 - the gate belongs to the test's thread
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cut_off[name] += 1
            raise
        status, body = self.answers.get(name, getattr(self, f"_{name}"))(payload)
        self.sent[name] += len(body)
        return web.Response(status=status, body=body)

    def _llm(self, payload: dict[str, object]) -> tuple[int, bytes]:
        count = int(payload["metadata"]["scenes"])  # type: ignore[index]
        scenes = [
            {"title": f"Title {n}", "narration": f"Narration {n}", "visual_type": VISUALS[n % 3]} for n in range(count)
        ]
        content = json.dumps({"scenes": scenes})
        usage = {"prompt_tokens": 100, "completion_tokens": 40}
        return 200, json.dumps({"choices": [{"message": {"content": content}}], "usage": usage}).encode()

    def _tts(self, payload: dict[str, object]) -> tuple[int, bytes]:
        return 200, wav()

    def _image(self, payload: dict[str, object]) -> tuple[int, bytes]:
        number = int(str(payload["prompt"])[6])
        data = [{"b64_json": base64.b64encode(png(COLOURS[number % 5])).decode()}]
        return 200, json.dumps({"data": data, "usage": {"input_tokens": 7, "output_tokens": 30}}).encode()


@dataclass(frozen=True)
class Running:
    """A service that runs in a thread."""

    url: str
    data_dir: Path
    spans: InMemorySpanExporter
    reader: InMemoryMetricReader
    server: uvicorn.Server
    thread: threading.Thread

    def points(self, name: str) -> list[Point]:
        """All points of the metric `name`: attributes, and value or (count, sum)."""
        data: Any = self.reader.get_metrics_data()
        found: list[Point] = []
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        found += [
                            (dict(p.attributes), (p.count, p.sum) if hasattr(p, "sum") else p.value)
                            for p in metric.data.data_points
                        ]
        return found

    def finished(self) -> list[ReadableSpan]:
        return list(self.spans.get_finished_spans())


@contextmanager
def thread_server(app: object) -> Iterator[tuple[str, uvicorn.Server, threading.Thread]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert thread.is_alive(), "the server ended while it started"
        assert time.monotonic() < deadline, "the server did not start in 10 s"
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", server, thread
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop in 10 s"


@contextmanager
def fake_providers() -> Iterator[tuple[FakeProviders, str]]:
    fake = FakeProviders()
    loop = asyncio.new_event_loop()
    listener = socket.create_server(("127.0.0.1", 0))

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/{path:.*}", fake.handle)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield fake, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        fake.gate.set()
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@contextmanager
def run_service(url: str, data_dir: Path, **settings: object) -> Iterator[Running]:
    """Run a service in a thread; with a media setting it gets its own media processes."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    meter_provider = MeterProvider([reader])
    options = {
        "llm_url": url,
        "tts_url": url,
        "image_url": url,
        "data_dir": data_dir,
        "job_timeout": 20,
        "media_processes": 1,
        "cache": False,  # tests count calls
    }
    workers = Workers if any(name.startswith("media_") for name in settings) else SharedWorkers
    app = create_app(Settings(**options | settings), tracer_provider=tracer_provider, meter_provider=meter_provider)  # type: ignore[arg-type]
    with ExitStack() as stack:
        with patch("reelbench.service.pipeline.media.Workers", workers):
            address, server, thread = stack.enter_context(thread_server(app))
        yield Running(address, data_dir, spans, reader, server, thread)
    tracer_provider.shutdown()
    meter_provider.shutdown()


@pytest.fixture
def providers() -> Iterator[FakeProviders]:
    with fake_providers() as (fake, url):
        fake.url = url  # type: ignore[attr-defined]
        yield fake


@pytest.fixture
def start(providers: FakeProviders, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts services over the fake providers, with the settings given."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            run_service(providers.url, **({"data_dir": tmp_path / "data"} | settings))  # type: ignore[attr-defined]
        )


@pytest.fixture
def mock_providers() -> Iterator[str]:
    """Base URL of the real mock providers, with short latencies and fault injection."""
    quick = {name: {"median": 0.002} for name in ("llm", "tts", "image")}
    with thread_server(create_providers(ProviderSettings(faults=True, **quick))) as (url, _, _):  # type: ignore[arg-type]
        yield url


@contextmanager
def run_process(url: str, data_dir: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service as a process in its own process group; it is ready at `url`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SERVICE_"))}
    environment |= {f"SERVICE_{name}_URL": url for name in ("LLM", "TTS", "IMAGE")}
    environment |= {"SERVICE_DATA_DIR": str(data_dir), "OTEL_TRACES_EXPORTER": "otlp_json_file"}
    environment["SERVICE_CACHE"] = "false"  # tests count calls
    environment["SERVICE_MEDIA_MEMORY"] = str(128 << 20)  # a small limit, which is soon reached
    environment |= settings
    command = [sys.executable, "-m", "reelbench.service", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as child:
        child.url = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
        try:
            deadline = time.monotonic() + 15
            while not _ready(child.url):  # type: ignore[attr-defined]
                assert time.monotonic() < deadline, "the service is not ready in 15 s"
                time.sleep(0.02)
            yield child
        finally:
            child.kill()


@pytest.fixture
def launch(providers: FakeProviders, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts services as processes, with the variables given."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            run_process(providers.url, tmp_path / "data", **settings)  # type: ignore[attr-defined]
        )


@pytest.fixture
def process(launch: Callable[..., subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """A service as a process, with the fake providers."""
    return launch()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service, shared by tests that clean up after themselves."""
    with (
        fake_providers() as (_, url),
        run_service(url, tmp_path_factory.mktemp("data"), max_upload_bytes=100_000) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def rubbish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeProviders, Running]]:
    """One service, with providers whose answers each test sets."""
    # Without retries and breaker, so that the effect of a bad answer does not depend on earlier tests.
    with (
        fake_providers() as (fake, url),
        run_service(url, tmp_path_factory.mktemp("data"), retries=False, breaker=False) as running,
    ):
        yield fake, running


@pytest.fixture(scope="session")
def files() -> type:
    """Functions that create test files, since tests cannot import this module."""

    class Files:
        png = staticmethod(png)
        wav = staticmethod(wav)
        pdf = staticmethod(pdf)
        page_of = staticmethod(page_of)
        encrypted_pdf = staticmethod(encrypted_pdf)

    return Files


@pytest.fixture(scope="session", autouse=True)
def hasty_servers() -> Iterator[None]:
    """Shorten uvicorn's shutdown, which polls every 0.1 s and waits as long again: too slow for hundreds of tests."""
    hasty = ModuleType("asyncio")
    vars(hasty).update(vars(asyncio) | {"sleep": lambda seconds: asyncio.sleep(seconds / 20)})
    with patch("uvicorn.server.asyncio", hasty):
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_workers() -> Iterator[None]:
    yield
    SharedWorkers.close()


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=15) as client:
        yield client


@pytest.fixture
def create(http: httpx.Client) -> Callable[..., dict[str, object]]:
    """Create a job with a document and wait for its end."""

    def make(running: Running, *, wait: float = 10, headers: dict[str, str] | None = None) -> dict[str, object]:
        answer = http.post(
            f"{running.url}/v1/videos",
            data={"prompt": "Explain queues"},
            files={"input_reference": ("paper.pdf", pdf(), "application/pdf")},
            headers=headers,
        )
        assert answer.status_code == 200, answer.text
        video = answer.json()
        if wait:
            video = http.get(f"{running.url}/v1/videos/{video['id']}/wait", params={"timeout": wait}).json()
        return dict(video)

    return make
