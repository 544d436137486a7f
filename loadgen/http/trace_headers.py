"""The trace of a job, and the W3C headers of its requests.

The headers are formatted here: a propagator of the SDK costs a tenth of the CPU time of a request. Without an exporter,
only ids are generated, so spans of the service still belong to the trace of a job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
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
ROOT: Final = "loadgen.job"
"""Name of the root span."""


class RequestSpan(Protocol):
    """The span of a request."""

    def end(self, status: int | None, error: str | None, /) -> None:
        """End the span, once and before its job ends.

        Args:
            status: of the answer; without a status and without an error, the request was cut off.
            error: why there is no complete answer.
        """


class JobTrace(Protocol):
    """The trace of one job."""

    trace_id: str
    """32 hexadecimal digits."""
    polled: str
    """Header ``traceparent`` of requests without a span: in the trace and without the sampled flag. Empty: none."""

    @property
    def context(self) -> Context:
        """Context with the root span, for exemplars."""

    def request(self, method: str, route: str, origin: str, path: str) -> tuple[str, RequestSpan | None]:
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

    __slots__ = ("_bits", "_root", "polled", "trace_id")

    def __init__(self, bits: Callable[[int], int] = getrandbits) -> None:
        """Draw the ids of the trace and its root; `bits` draws a number of as many random bits."""
        self._bits = bits
        ids = f"{bits(192):048x}"  # an id of zero is invalid, and as improbable as an id that is drawn twice
        self.trace_id, self._root = ids[:32], ids[32:]
        self.polled = f"00-{self.trace_id}-{self._root}-00"

    @property
    def context(self) -> Context:
        """Implement `JobTrace.context`."""
        ids = SpanContext(int(self.trace_id, 16), int(self._root, 16), is_remote=False, trace_flags=_SAMPLED)
        return set_span_in_context(NonRecordingSpan(ids), _EMPTY)

    def request(self, method: str, route: str, origin: str, path: str) -> tuple[str, RequestSpan | None]:  # noqa: ARG002 - of spans
        """Implement `JobTrace.request`."""
        return f"00-{self.trace_id}-{self._bits(64) or 1:016x}-03", None

    def end(self, outcome: str, video_id: str | None, error: str | None, *, well: bool) -> None:
        """Implement `JobTrace.end`."""


class SpanTrace:
    """Spans of a tracer: `ROOT` with a CLIENT span for each request that is no poll."""

    __slots__ = ("_span", "_tracer", "context", "polled", "trace_id")

    def __init__(self, tracer: Tracer, attributes: Mapping[str, str | int | bool]) -> None:
        # The context is empty because the current span must not become the parent.
        span = tracer.start_span(ROOT, context=_EMPTY, kind=SpanKind.INTERNAL, attributes=attributes)
        self._tracer, self._span = tracer, span
        ids = span.get_span_context()
        self.context = set_span_in_context(span, _EMPTY)
        self.trace_id = format_trace_id(ids.trace_id)
        self.polled = f"00-{self.trace_id}-{ids.span_id:016x}-00" if ids.is_valid else ""

    def request(self, method: str, route: str, origin: str, path: str) -> tuple[str, RequestSpan]:
        """Implement `JobTrace.request`."""
        url = origin + path.partition("?")[0]
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self.context,
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method, "url.full": url, "url.template": route},
        )
        if not self.polled:  # the tracer is disabled
            return "", _ApiSpan(span)
        # By position: a property of this tuple costs more than its formatting.
        _, span_id, _, flags, _, _ = span.get_span_context()
        return f"00-{self.trace_id}-{span_id:016x}-{flags:02x}", _ApiSpan(span)

    def end(self, outcome: str, video_id: str | None, error: str | None, *, well: bool) -> None:
        """Implement `JobTrace.end`."""
        span = self._span
        span.set_attribute("loadgen.job.outcome", outcome)
        if video_id is not None:
            span.set_attribute("video.id", video_id)
        if not well:
            span.set_status(StatusCode.ERROR, error)
        span.end()


class _ApiSpan:
    """Implements `RequestSpan` over a span of the API."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, status: int | None, error: str | None, /) -> None:
        """Implement `RequestSpan.end`."""
        span, failed = self._span, has_failed(status, error)
        for key, value in answer_attributes(status, failed=failed).items():
            span.set_attribute(key, value)
        if failed:
            span.set_status(StatusCode.ERROR, error)
        span.end()


def has_failed(status: int | None, error: str | None) -> bool:
    """Return whether the span of a request has the status of an error."""
    return error is not None or (status is not None and status >= HTTPStatus.BAD_REQUEST)


def answer_attributes(status: int | None, *, failed: bool) -> dict[str, str | int]:
    """Return the attributes that a span gets when its request ends."""
    attributes: dict[str, str | int] = {} if status is None else {"http.response.status_code": status}
    if failed:
        attributes["error.type"] = str(status or "no_answer")
    return attributes
