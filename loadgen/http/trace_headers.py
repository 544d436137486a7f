"""The trace of a job, and the W3C headers of its requests.

The headers are formatted here: a propagator of the SDK costs a tenth of the CPU time of a request. Without an exporter,
only ids are generated, so spans of the service still belong to the trace of a job.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import getrandbits
from typing import Final, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    format_trace_id,
    set_span_in_context,
)

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
_EMPTY: Final = Context()


class JobTrace(Protocol):
    """The trace of one job."""

    trace_id: str
    """32 hexadecimal digits."""
    polled: str
    """Header ``traceparent`` of requests without a span: in the trace and without the sampled flag. Empty: none."""

    @property
    def context(self) -> Context:
        """Context with the root span, for exemplars."""

    def request(self, method: str, route: str, origin: str, path: str) -> tuple[str, Span | None]:
        """Begin a request; return its header ``traceparent`` and its span. Empty: no header; None: no span.

        Args:
            method: of HTTP.
            route: the path with placeholders.
            origin: scheme, host and port.
            path: the path with its query.
        """

    def end(self, outcome: str, video_id: str | None, error: str | None, *, well: bool) -> None:
        """End the root span.

        Args:
            outcome: outcome of the job.
            video_id: id of the job at the server.
            error: why the job did not end well.
            well: whether the job ended as wished.
        """


class IdTrace:
    """Random ids and no spans: nothing is recorded, so no objects of OpenTelemetry are made before an exemplar."""

    __slots__ = ("_root", "polled", "trace_id")

    def __init__(self) -> None:
        self.trace_id = f"{getrandbits(128) or 1:032x}"  # an id of zero is invalid
        self._root = f"{getrandbits(64) or 1:016x}"
        self.polled = f"00-{self.trace_id}-{self._root}-00"

    @property
    def context(self) -> Context:
        """Implement `JobTrace.context`."""
        ids = SpanContext(int(self.trace_id, 16), int(self._root, 16), is_remote=False, trace_flags=_SAMPLED)
        return set_span_in_context(NonRecordingSpan(ids), _EMPTY)

    def request(self, method: str, route: str, origin: str, path: str) -> tuple[str, Span | None]:  # noqa: ARG002 - of spans
        """Implement `JobTrace.request`."""
        return f"00-{self.trace_id}-{getrandbits(64) or 1:016x}-03", None

    def end(self, outcome: str, video_id: str | None, error: str | None, *, well: bool) -> None:
        """Implement `JobTrace.end`."""


class SpanTrace:
    """Spans of a tracer: ``loadgen.job`` with a CLIENT span for each request that is no poll."""

    __slots__ = ("_span", "_tracer", "context", "polled", "trace_id")

    def __init__(self, tracer: Tracer, attributes: Mapping[str, str | int | bool]) -> None:
        # The context is empty because the current span must not become the parent.
        span = tracer.start_span("loadgen.job", context=_EMPTY, kind=SpanKind.INTERNAL, attributes=attributes)
        self._tracer, self._span = tracer, span
        ids = span.get_span_context()
        self.context = set_span_in_context(span, _EMPTY)
        self.trace_id = format_trace_id(ids.trace_id)
        self.polled = f"00-{self.trace_id}-{ids.span_id:016x}-00" if ids.is_valid else ""

    def request(self, method: str, route: str, origin: str, path: str) -> tuple[str, Span | None]:
        """Implement `JobTrace.request`."""
        url = origin + path.partition("?")[0]
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self.context,
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method, "url.full": url, "url.template": route},
        )
        if not self.polled:  # the tracer is disabled
            return "", span
        # By position: a property of this tuple costs more than its formatting.
        _, span_id, _, flags, _, _ = span.get_span_context()
        return f"00-{self.trace_id}-{span_id:016x}-{flags:02x}", span

    def end(self, outcome: str, video_id: str | None, error: str | None, *, well: bool) -> None:
        """Implement `JobTrace.end`."""
        span = self._span
        span.set_attribute("loadgen.job.outcome", outcome)
        if video_id is not None:
            span.set_attribute("video.id", video_id)
        if not well:
            span.set_status(StatusCode.ERROR, error)
        span.end()
