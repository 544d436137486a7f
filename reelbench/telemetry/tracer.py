"""Tracer and tracer provider of the OpenTelemetry API over `RecordingSpan`; the sampler is the parent's flag."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import Token
from functools import wraps
from inspect import iscoroutinefunction
from time import time_ns
from types import TracebackType
from typing import Any, Final

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    DEFAULT_TRACE_STATE,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes

from reelbench.telemetry.span import RecordingSpan
from reelbench.telemetry.span_text import RenderedSpans, SpanSink

_log = logging.getLogger(__name__)

_SAMPLED: Final = TraceFlags.SAMPLED
_RANDOM: Final = TraceFlags.RANDOM_TRACE_ID
_BOTH: Final = _SAMPLED | _RANDOM
_FLAGS: Final = tuple(TraceFlags(flags) for flags in range(_BOTH + 1))
"""Flags as objects, by their number."""


class RecordingTracer(Tracer):
    """A tracer whose spans record if their parent is sampled, or without a parent."""

    def __init__(
        self,
        resource: Resource,
        scope: InstrumentationScope,
        on_end: Callable[[RecordingSpan], None],
        *,
        ids: IdGenerator,
        heeds_parent: bool,
        records: bool,
        now: Callable[[], int],
        add_rendered: Callable[[RenderedSpans], None] | None = None,
    ) -> None:
        self._resource = resource
        self._scope = scope
        self._on_end = on_end
        self._ids = ids
        self._heeds_parent = heeds_parent
        self._recorded = _SAMPLED if records else 0
        self._root_flags = _FLAGS[_SAMPLED | (_RANDOM if ids.is_trace_id_random() else 0)]
        self._now = now
        self.sink = None if add_rendered is None else SpanSink(resource, scope, add_rendered, now)
        """For spans that make their own text; None: an exporter needs objects."""

    def start_span(  # noqa: PLR0917 - the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002
    ) -> Span:
        """Start a span; its parent is the span in `context`, or else the current one."""
        parent: SpanContext | None = get_current_span(context).get_span_context()
        if parent is None or not parent.is_valid:
            parent, state, flags = None, DEFAULT_TRACE_STATE, self._root_flags
            trace_id = self._ids.generate_trace_id()
        else:
            trace_id, _, _, above, state, _ = parent
            flags = _FLAGS[above & _BOTH if self._heeds_parent else above & _BOTH | _SAMPLED]
        # By `tuple`: the constructor checks what it is given, and these ids are valid.
        own = tuple.__new__(SpanContext, (trace_id, self._ids.generate_span_id(), False, flags, state, True))
        if not flags & self._recorded:
            return NonRecordingSpan(own)
        span = RecordingSpan(
            name,
            own,
            parent,
            kind,
            self._now() if start_time is None else start_time,
            self._resource,
            self._scope,
            self._on_end,
            self._now,
            record_exception,
            set_status_on_exception,
        )
        if attributes:
            span.set_attributes(attributes)
        if links:
            span.add_links(links)
        return span

    def start_as_current_span(  # type: ignore[override] # noqa: PLR0917 - the API's signature, but for its decorator
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002
        end_on_exit: bool = True,  # noqa: FBT001, FBT002
    ) -> CurrentSpan:
        """Return a context manager, also a decorator, that starts a span, makes it the current one, and ends it."""
        arguments = name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        return CurrentSpan(self.start_span, arguments, end_on_exit=end_on_exit)


class CurrentSpan(ContextDecorator):
    """Starts a span on entry, and ends it on exit; an `Exception` is recorded as the start's arguments say."""

    __slots__ = ("_arguments", "_end_on_exit", "_span", "_start", "_token")

    def __init__(self, start: Callable[..., Span], arguments: tuple[Any, ...], *, end_on_exit: bool) -> None:
        self._start = start
        self._arguments = arguments
        self._end_on_exit = end_on_exit

    def __enter__(self) -> Span:
        """Start the span and make it the current one."""
        self._span = span = self._start(*self._arguments)
        self._token: Token[Context] = attach(set_span_in_context(span))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make the span before the current one again, and end the span."""
        detach(self._token)
        span = self._span
        # Cancellation and the end of a generator are no errors: they are no `Exception`.
        if isinstance(error, Exception) and span.is_recording():
            *_, record_exception, set_status = self._arguments
            if record_exception:
                span.record_exception(error)
            if set_status:
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        if self._end_on_exit:
            span.end()

    def __call__(self, function: Any) -> Any:
        """Decorate a function or a coroutine function: each call has a span of its own."""
        if not iscoroutinefunction(function):
            return super().__call__(function)

        @wraps(function)
        async def traced(*args: Any, **kwargs: Any) -> Any:
            with self._recreate_cm():
                return await function(*args, **kwargs)

        return traced

    def _recreate_cm(self) -> CurrentSpan:
        return CurrentSpan(self._start, self._arguments, end_on_exit=self._end_on_exit)


class RecordingTracerProvider(TracerProvider):
    """Provider of recording tracers; hands ended spans to processors, which need no word of a start."""

    def __init__(
        self,
        resource: Resource,
        processors: Sequence[SpanProcessor],
        *,
        heeds_parent: bool = True,
        ids: IdGenerator | None = None,
        now: Callable[[], int] = time_ns,
        add_rendered: Callable[[RenderedSpans], None] | None = None,
    ) -> None:
        """Keep the collaborators, and shut down when the process ends.

        Args:
            resource: describes this process.
            processors: receive each span that ended; without any, spans have ids, for exemplars and for the services
                that are called, and record nothing.
            heeds_parent: an unsampled parent has unsampled children, as with the sampler ``parentbased_always_on``.
            ids: generates ids of traces and spans.
            now: nanoseconds since 1970.
            add_rendered: hands spans that make their own text to the processors; None: an exporter needs objects.
        """
        self.resource = resource
        self._processor = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        for processor in processors:
            self._processor.add_span_processor(processor)
        self._on_end: Callable[[Any], None] = processors[0].on_end if len(processors) == 1 else self._processor.on_end
        self._heeds_parent = heeds_parent
        self._records = bool(processors)
        self._ids = ids or RandomIdGenerator()
        self._now = now
        self._add_rendered = add_rendered
        atexit.register(self.shutdown)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> RecordingTracer:
        """Return a tracer for the spans of one instrumentation scope."""
        if not instrumenting_module_name:
            _log.error("get_tracer called with missing module name.")
        scope = InstrumentationScope(
            instrumenting_module_name or "", instrumenting_library_version or "", schema_url, attributes
        )
        return RecordingTracer(
            self.resource,
            scope,
            self._on_end,
            ids=self._ids,
            heeds_parent=self._heeds_parent,
            records=self._records,
            now=self._now,
            add_rendered=self._add_rendered,
        )

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export all spans that ended; return False at the deadline."""
        return self._processor.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Export all spans that ended, and stop."""
        self._processor.shutdown()
        atexit.unregister(self.shutdown)
