"""Batches of ended spans for an exporter: the SDK's queue and thread, with counted drops and a deadline of a flush."""

from __future__ import annotations

import logging
from threading import Thread

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

_log = logging.getLogger(__name__)


class SpanBatches(BatchSpanProcessor):
    """The SDK's batch processor, set up by ``OTEL_BSP_*``; its thread encodes and writes.

    The SDK logs that a full queue drops spans, but not how many, and its flush has no deadline.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter)
        self._queue = self._batch_processor._queue  # noqa: SLF001 - the SDK has no other sight of a full queue
        self.dropped = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span; a full queue drops its oldest one."""
        if len(self._queue) == self._queue.maxlen:
            self.dropped += 1
        super().on_end(span)

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what is queued; return False at the deadline, 30 seconds unless another is given."""
        done = []
        flush = super().force_flush
        thread = Thread(target=lambda: done.append(flush()), name="span-flush", daemon=True)
        thread.start()
        thread.join((30_000 if timeout_millis is None else timeout_millis) / 1000)
        return done == [True]

    def shutdown(self) -> None:
        """Export what is queued, and stop; spans that were dropped are counted in a message."""
        super().shutdown()  # type: ignore[no-untyped-call]
        if self.dropped:
            _log.warning(
                "%d spans were dropped because the queue was full; raise OTEL_BSP_MAX_QUEUE_SIZE", self.dropped
            )
