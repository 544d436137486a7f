"""A recording span of the OpenTelemetry API with the rules of the SDK's span, for a fraction of its CPU time.

A span has no lock: an operation on a dictionary is atomic, and so is a check followed by a store without a call between
them. A value of a usual type is stored as it is; `BoundedAttributes` of the API cleans every other one.
"""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.attributes.exception_attributes import (
    EXCEPTION_ESCAPED,
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
)
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AnyValue, Attributes

_log = logging.getLogger(__name__)

LIMIT: Final = 128
"""Most attributes of a span, an event or a link, and most events and links of a span: the SDK's default."""
_UNSET: Final = Status(StatusCode.UNSET)
_PLAIN: Final = frozenset({str, int, bool, float, bytes, type(None)})
"""Types of values that need neither a check nor a copy."""


class RecordingSpan(Span):
    """A span that records until it ends; its properties are those of the SDK's `ReadableSpan`."""

    __slots__ = (
        "_now",
        "_on_end",
        "_record_exception",
        "_set_status_on_exception",
        "attributes",
        "context",
        "dropped_attributes",
        "dropped_events",
        "dropped_links",
        "end_time",
        "events",
        "instrumentation_scope",
        "kind",
        "links",
        "name",
        "parent",
        "resource",
        "start_time",
        "status",
    )

    def __init__(  # noqa: PLR0917 - positional arguments cost less, and each span needs this call
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        start_time: int,
        resource: Resource,
        scope: InstrumentationScope,
        on_end: Callable[[RecordingSpan], None],
        now: Callable[[], int],
        record_exception: bool,  # noqa: FBT001
        set_status_on_exception: bool,  # noqa: FBT001
    ) -> None:
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind
        self.start_time = start_time
        self.end_time: int | None = None
        self.resource = resource
        self.instrumentation_scope = scope
        self.attributes: dict[str, AnyValue] = {}
        self.events: Sequence[Event] = ()
        self.links: Sequence[Link] = ()
        self.status = _UNSET
        self.dropped_attributes = self.dropped_events = self.dropped_links = 0
        self._on_end = on_end
        self._now = now
        self._record_exception = record_exception
        self._set_status_on_exception = set_status_on_exception

    def __repr__(self) -> str:
        """Return the name and the ids."""
        return f'{type(self).__name__}(name="{self.name}", context={self.context})'

    def get_span_context(self) -> SpanContext:
        """Return the ids that are propagated."""
        return self.context

    def is_recording(self) -> bool:
        """Return True until the span ends."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Set one attribute; the oldest is dropped where there are too many."""
        if self.end_time is not None:
            _log.warning("Setting attribute on ended span.")
        elif type(value) in _PLAIN and type(key) is str and key:
            self._set(key, value)
        elif not isinstance(key, str):
            _log.warning("invalid key `%s`. must be non-empty string. Dropping key from attributes.", key)
            self.dropped_attributes += 1
        else:
            self._set_cleaned({key: value})

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Set several attributes."""
        if self.end_time is not None:
            _log.warning("Setting attribute on ended span.")
            return
        for key, value in attributes.items():
            if type(value) not in _PLAIN or type(key) is not str or not key:
                self._set_cleaned(attributes)
                return
        if self.attributes or len(attributes) > LIMIT:
            for key, value in attributes.items():
                self._set(key, value)
        else:
            self.attributes = dict(attributes)

    def _set(self, key: str, value: AnyValue) -> None:
        attributes = self.attributes
        if key in attributes:
            del attributes[key]  # the attribute that was set last is the newest
        elif len(attributes) >= LIMIT:
            _log.warning("A span has more than %d attributes: its oldest one is dropped.", LIMIT)
            del attributes[next(iter(attributes))]
            self.dropped_attributes += 1
        attributes[key] = value

    def _set_cleaned(self, attributes: Mapping[str, AnyValue]) -> None:
        cleaned = BoundedAttributes(attributes=attributes)
        self.dropped_attributes += cleaned.dropped
        for key, value in cleaned.copy().items():
            self._set(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event; the oldest is dropped where there are too many."""
        event = Event(name, BoundedAttributes(LIMIT, attributes), self._now() if timestamp is None else timestamp)
        if self._open("_add_event"):
            self.dropped_events += len(self.events) == LIMIT
            self.events = _with(self.events, event)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link to another span; one to an invalid span needs attributes or a trace state."""
        if _links_anything(context, attributes) and self._open("_add_link"):
            self.add_links([Link(context, attributes)])

    def add_links(self, links: Iterable[Link]) -> None:
        """Add links that were given at the start."""
        for link in links:
            if link and _links_anything(link.context, link.attributes):
                self.dropped_links += len(self.links) == LIMIT
                self.links = _with(self.links, Link(link.context, BoundedAttributes(LIMIT, link.attributes)))

    def update_name(self, name: str) -> None:
        """Replace the name."""
        if self._open("update_name"):
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status: OK is final, and UNSET changes nothing."""
        if not self._open("set_status") or self.status.status_code is StatusCode.OK:
            return
        if isinstance(status, Status):
            if description is not None and status.status_code is not StatusCode.UNSET:
                _log.warning("Description %s ignored. Use either `Status` or `(StatusCode, Description)`", description)
        elif isinstance(status, StatusCode) and status is not StatusCode.UNSET:
            status = Status(status, description)
        else:
            return
        if status.status_code is not StatusCode.UNSET:
            self.status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - the API's signature
    ) -> None:
        """Add an event with type, message and stack trace of an exception."""
        kind = type(exception)
        named: dict[str, AnyValue] = {
            EXCEPTION_TYPE: kind.__qualname__
            if kind.__module__ in {"", None, "builtins"}
            else f"{kind.__module__}.{kind.__qualname__}",
            EXCEPTION_MESSAGE: str(exception),
            EXCEPTION_STACKTRACE: "".join(traceback.format_exception(exception)),
            EXCEPTION_ESCAPED: str(escaped),
        }
        self.add_event("exception", named | dict(attributes or {}), timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span and hand it over; a second call is logged and changes nothing."""
        if end_time is None:
            end_time = self._now()
        # No call stands between the check and the store, so the interpreter does not switch threads there.
        if self.end_time is None:
            self.end_time = end_time
            self._on_end(self)
        else:
            _log.warning("Calling end() on an ended span.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span; an exception is recorded before."""
        if error is not None and self.end_time is None:
            if self._record_exception:
                self.record_exception(error, escaped=True)
            if self._set_status_on_exception:
                self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self.end()

    def _open(self, call: str) -> bool:
        if self.end_time is None:
            return True
        _log.warning("Tried calling %s on an ended span.", call)
        return False


def _with(items: Sequence[Any], item: Any) -> Sequence[Any]:
    """Return `items` with one more, without the oldest where there are too many."""
    if not isinstance(items, deque):
        return deque((item,), LIMIT)
    items.append(item)
    return items


def _links_anything(context: SpanContext, attributes: Attributes) -> bool:
    return bool(context and (context.is_valid or attributes or context.trace_state))
