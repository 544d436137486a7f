"""Batches of ended spans for an exporter: the SDK's queue and thread, with counted drops and a deadline of a flush."""

from __future__ import annotations

import logging
from contextlib import suppress
from threading import Thread

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from reelbench.telemetry.span_text import RenderedSpans, number

_log = logging.getLogger(__name__)


class SpanBatches(BatchSpanProcessor):
    """The SDK's batch processor, set up by ``OTEL_BSP_*``; its thread encodes and writes.

    The SDK logs that a full queue drops spans, but not how many, and its flush has no deadline. Rendered spans, such as
    all spans of a job, have one place in the queue and in a batch.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter)
        self._queue = self._batch_processor._queue  # noqa: SLF001 - the SDK has no other sight of a full queue
        self.dropped = 0
        self._ended = False

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span; a full queue drops its oldest one."""
        self._count_drop()
        super().on_end(span)

    def add(self, spans: RenderedSpans) -> None:
        """Queue rendered spans, for an exporter that writes OTLP JSON."""
        self._count_drop()
        self._batch_processor.emit(spans)  # type: ignore[arg-type] # the SDK only hands them on

    def _count_drop(self) -> None:
        queue = self._queue
        if len(queue) == queue.maxlen:
            with suppress(IndexError):  # the thread has taken all of them since
                self.dropped += number((queue[-1],))

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what is queued; return False at the deadline, 30 seconds unless another is given."""
        done = []
        flush = super().force_flush
        thread = Thread(target=lambda: done.append(flush()), name="span-flush", daemon=True)
        thread.start()
        thread.join((30_000 if timeout_millis is None else timeout_millis) / 1000)
        return done == [True]

    def shutdown(self, timeout_millis: int = 30_000) -> None:
        """Export what is queued, and stop at the deadline; lost spans are counted in a message."""
        if self._ended:
            return
        self._ended = True
        self._batch_processor.shutdown(timeout_millis)
        if self.dropped:
            _log.warning(
                "%d spans were dropped because the queue was full; raise OTEL_BSP_MAX_QUEUE_SIZE", self.dropped
            )
        if self._queue:
            left = number(tuple(self._queue))
            _log.warning("%d spans were not exported before the process had to end", left)
