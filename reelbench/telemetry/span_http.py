"""Spans as OTLP JSON over HTTP, for ``OTEL_EXPORTER_OTLP_PROTOCOL=http/json``."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from reelbench.telemetry.span_encoder import SpanEncoder


class SpanHttpExporter(OTLPSpanExporter):
    """The official exporter with another body: endpoint, headers, certificates, compression and retries are its own."""

    def __init__(self) -> None:
        super().__init__(headers={"Content-Type": "application/json"})
        self._encoder = SpanEncoder()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Post the spans; a failure is logged, and the batch is lost."""
        if self._shutdown:
            return SpanExportResult.FAILURE
        sent = self._client.export(self._encoder.encode(spans))
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE
