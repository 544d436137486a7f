"""The file of spans: one line for each batch."""

from __future__ import annotations

import io
import json

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext

from reelbench.telemetry.span_file import SpanFileExporter


def test_each_batch_is_a_line_and_a_broken_stream_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    span = ReadableSpan(name="s", context=SpanContext(1, 2, is_remote=False), resource=Resource({}))
    stream = io.BytesIO()
    exporter = SpanFileExporter(stream)
    assert [exporter.export(batch) for batch in ([span], [span, span], [])] == [SpanExportResult.SUCCESS] * 3
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [len(line["resourceSpans"][0]["scopeSpans"][0]["spans"]) for line in lines] == [1, 2]
    stream.close()
    assert exporter.export([span]) is SpanExportResult.FAILURE
    assert "1 spans could not be written" in caplog.text
    exporter.shutdown()
    assert exporter.export([span]) is SpanExportResult.FAILURE
