from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from reelbench.stack.grafana import Grafana


class FakeGrafana(ThreadingHTTPServer):
    """Keeps annotations like Grafana; if `status` is set, every call gets this status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[tuple[str, str]] = []
        self.annotations: dict[int, dict[str, Any]] = {}
        self.status: int | None = None
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeGrafana

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append((self.command, self.path))
        if self.server.status is None:
            number = int(self.path.split("/")[3]) if self.command == "PATCH" else len(self.server.annotations) + 1
            self.server.annotations[number] = body
            answer = json.dumps({"id": number, "message": "Annotation added"}).encode()
        else:
            answer = b"not an annotation"
        self.send_response(self.server.status or 200)
        self.send_header("Location", "/login")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PATCH = _answer  # noqa: N815 - names that the server looks up

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake() -> Iterator[FakeGrafana]:
    server = FakeGrafana()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_region_is_written_once_and_updated_at_its_end(fake: FakeGrafana) -> None:
    said: list[str] = []
    with Grafana(fake.url, said.append) as grafana:
        for _ in range(3):
            grafana.annotate("a", 10.0, None, "begun", ["run", "x"])
        grafana.annotate("b", 11.0, 11.5, "short", ["fault"])
        grafana.annotate("a", 10.0, 12.0, "ended", ["run", "x"])
    assert fake.calls == [
        ("POST", "/api/annotations"),
        ("POST", "/api/annotations"),
        ("PATCH", "/api/annotations/1"),
    ]
    assert fake.annotations == {
        1: {"time": 10_000, "timeEnd": 12_000, "text": "ended", "tags": ["run", "x"]},
        2: {"time": 11_000, "timeEnd": 11_500, "text": "short", "tags": ["fault"], "panelId": None},
    }
    assert said == []


def test_a_grafana_under_a_sub_path(fake: FakeGrafana) -> None:
    said: list[str] = []
    for url in (f"{fake.url}/grafana", f"{fake.url}/grafana/"):
        with Grafana(url, said.append) as grafana:
            grafana.annotate("a", 10.0, None, "begun", [])
    assert fake.calls == [("POST", "/grafana/api/annotations")] * 2
    assert said == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, "it asks for a login"),
        (401, "it asks for a login"),
        (403, "it accepts annotations only after a login"),
        (500, "status 500"),
        (200, "its answer is not that of Grafana"),
    ],
)
def test_a_rejecting_grafana_gets_one_warning_and_no_more_requests(fake: FakeGrafana, status: int, reason: str) -> None:
    fake.status = status
    said: list[str] = []
    with Grafana(fake.url, said.append) as grafana:
        for number in range(3):
            grafana.annotate(str(number), 10.0, None, "text", [])
    assert said == [f"warning: no annotations in the Grafana at {fake.url}: {reason}; the run goes on"]
    assert len(fake.calls) == 1


def test_a_grafana_that_is_down_is_one_warning(fake: FakeGrafana) -> None:
    said: list[str] = []
    fake.shutdown()
    fake.server_close()
    with Grafana(fake.url, said.append) as grafana:
        grafana.annotate("a", 10.0, None, "text", [])
        grafana.annotate("b", 10.0, None, "text", [])
    assert said == [f"warning: no annotations in the Grafana at {fake.url}: it does not answer; the run goes on"]
