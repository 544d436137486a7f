"""The service and its mock providers as processes of their own, for fuzzers and the soak."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import psutil

from reelbench.handed_over import API_SOCKET, METRICS_SOCKET
from reelbench.stack.environment import scraped_telemetry

READY_SECONDS = 60.0
QUICK = {f"PROVIDERS_{name}__MEDIAN": "0.001" for name in ("LLM", "TTS", "IMAGE")}


@dataclass(frozen=True)
class Part:
    """One process."""

    url: str
    metrics: str
    process: psutil.Process
    child: subprocess.Popen[bytes]
    messages: IO[bytes]

    @property
    def said(self) -> str:
        """What it wrote to standard error."""
        self.messages.seek(0)
        return self.messages.read().decode(errors="replace")

    def memory(self) -> int:
        """Bytes in RAM of the process and its workers."""
        parts = [self.process, *self.process.children(recursive=True)]
        return sum(part.memory_info().rss for part in parts)

    def descriptors(self) -> int:
        """Open files and sockets."""
        return self.process.num_fds()


@dataclass(frozen=True)
class Stand:
    """Service and providers that run."""

    service: Part
    providers: Part
    data: Path


@contextmanager
def stand(**settings: str) -> Iterator[Stand]:
    """Start providers and service on sockets of their own, with all endpoints; end them.

    Args:
        settings: variables of the service.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        providers = stack.enter_context(_part("reelbench.service.providers", {"PROVIDERS_FAULTS": "true"} | QUICK))
        data = Path(folder) / "data"
        environment = {f"SERVICE_{name}_URL": providers.url for name in ("LLM", "TTS", "IMAGE")}
        environment |= {"SERVICE_DATA_DIR": str(data), "SERVICE_FAULTS": "true", "SERVICE_ADMIN": "true"}
        service = stack.enter_context(_part("reelbench.service", environment | settings))
        yield Stand(service, providers, data)


@contextmanager
def _part(module: str, environment: Mapping[str, str]) -> Iterator[Part]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SERVICE_"))}
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [listener.getsockname()[1] for listener in listeners]
        handed = dict(zip((API_SOCKET, METRICS_SOCKET), (str(one.fileno()) for one in listeners), strict=True))
        messages = stack.enter_context(tempfile.TemporaryFile())
        child = subprocess.Popen(
            [sys.executable, "-m", module],
            env=inherited | scraped_telemetry(ports[1]) | {"OTEL_TRACES_EXPORTER": "none"} | handed | dict(environment),
            stdout=subprocess.DEVNULL,
            stderr=messages,
            pass_fds=[one.fileno() for one in listeners],
        )
        try:
            url, metrics = (f"http://127.0.0.1:{port}" for port in ports)
            part = Part(url, f"{metrics}/metrics", psutil.Process(child.pid), child, messages)
            _await_ready(part, "/ready" if module == "reelbench.service" else "/health")
            yield part
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _await_ready(part: Part, path: str) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        assert part.child.poll() is None, part.said
        try:
            if httpx.get(part.url + path, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{part.url}{path} is not ready: {part.said}")
