from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

Answers = dict[str, tuple[int, bytes] | Callable[[], tuple[int, bytes]]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], str]]:
    """Serve fixed answers by path (without the query) on loopback; return the base URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers.get(self.path.split("?")[0], (404, b"not here"))
                status, body = found() if callable(found) else found
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def fake_prometheus(tmp_path: Path) -> Callable[..., Path]:
    """Write a program that answers ``--version`` like Prometheus."""

    def write(version: str, folder: Path | None = None, count: Path | None = None) -> Path:
        path = (folder or tmp_path) / "prometheus"
        path.parent.mkdir(parents=True, exist_ok=True)
        note = f"echo run >> {count}\n" if count else ""
        path.write_text(f"#!/bin/sh\n{note}echo 'prometheus, version {version} (branch: HEAD)'\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A PATH with a shell, without Prometheus and apt-get."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "echo"):
        (folder / tool).symlink_to(shutil.which(tool) or os.devnull)
    monkeypatch.setenv("PATH", str(folder))
    return str(folder)
