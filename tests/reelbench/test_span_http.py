"""Spans over HTTP: the requests that a receiver of OTLP JSON sees."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext

from reelbench.telemetry.span_encoder import SpanEncoder
from reelbench.telemetry.span_http import SpanHttpExporter

SPAN = ReadableSpan(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({"a": 1}))


class Receiver(HTTPServer):
    """Answers with the given statuses, one after the other, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}/base")
        yield server
        server.shutdown()
        thread.join()


def test_spans_are_posted_as_json_with_the_headers_of_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one,authorization=Bearer%20key")
    exporter = SpanHttpExporter()
    assert exporter.export([SPAN]) is SpanExportResult.SUCCESS
    ((path, headers, body),) = receiver.requests
    assert path == "/base/v1/traces"
    assert headers["content-type"] == "application/json"
    assert (headers["x-tenant"], headers["authorization"]) == ("one", "Bearer key")
    assert body == SpanEncoder().encode([SPAN])
    exporter.shutdown()  # type: ignore[no-untyped-call]
    assert exporter.export([SPAN]) is SpanExportResult.FAILURE
    assert len(receiver.requests) == 1


def test_a_body_is_compressed_when_asked_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    assert SpanHttpExporter().export([SPAN]) is SpanExportResult.SUCCESS
    ((_, headers, body),) = receiver.requests
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == SpanEncoder().encode([SPAN])


def test_a_receiver_that_is_busy_gets_the_spans_again_when_it_says(receiver: Receiver) -> None:
    receiver.statuses = [429, 502, 503, 504]
    assert SpanHttpExporter().export([SPAN]) is SpanExportResult.SUCCESS
    assert len({body for _, _, body in receiver.requests}) == 1
    assert len(receiver.requests) == 5


def test_a_refusal_is_a_failure_and_is_logged(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.statuses = [400]
    assert SpanHttpExporter().export([SPAN]) is SpanExportResult.FAILURE
    assert len(receiver.requests) == 1
    assert "Failed to export spans batch code: 400" in caplog.text


def test_a_receiver_that_stays_busy_is_given_up_at_the_timeout(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    receiver.statuses = [503] * 9
    monkeypatch.setattr(Handler, "send_header", lambda *_: None)  # no Retry-After: the wait would be longer than 0.3 s
    assert SpanHttpExporter().export([SPAN]) is SpanExportResult.FAILURE
    assert "Failed to export spans batch due to timeout" in caplog.text
