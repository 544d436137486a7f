"""Spans as lines of OTLP JSON, as the official file exporter writes them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from threading import Lock
from typing import BinaryIO

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from reelbench.telemetry.span_encoder import SpanEncoder
from reelbench.telemetry.span_text import number

_log = logging.getLogger(__name__)


class SpanFileExporter(SpanExporter):
    """Writes each batch as one line to a binary stream, standard output unless another is given."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self._encoder = SpanEncoder()
        self._lock = Lock()
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans as one line; a failure is logged, and the batch is lost."""
        if self._ended:
            return SpanExportResult.FAILURE
        try:
            with self._lock:
                self._stream.write(self._encoder.encode(spans))
                self._stream.flush()
        except OSError as error:
            _log.warning("%d spans could not be written (%s)", number(spans), error.strerror or error)
            return SpanExportResult.FAILURE
        except (ValueError, TypeError):
            _log.exception("%d spans could not be written", number(spans))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Refuse further batches."""
        self._ended = True

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: each batch is flushed when it is written."""
        del timeout_millis
        return True
