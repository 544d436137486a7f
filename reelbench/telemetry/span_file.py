"""Spans as lines of OTLP JSON: what the official file exporter writes, for about a third of its CPU time."""

from __future__ import annotations

import base64
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, BinaryIO

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext

_log = logging.getLogger(__name__)

_KIND_OFFSET = 1
"""OTLP counts kinds of spans from 1 (internal) on, the API from 0."""
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_USUAL = {str, int, bool, float}
_KINDS = (str, bool, int, float, bytes, Sequence, Mapping)
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
"""Flags of a span: whether its parent's being remote is known, and whether the parent is remote."""


class SpanFileExporter(SpanExporter):
    """Writes each batch as one line to a binary stream, standard output unless another is given."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self._lock = Lock()
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans as one line; a failure is logged, and the batch is lost."""
        if self._ended:
            return SpanExportResult.FAILURE
        try:
            line = encode_spans(spans)
            with self._lock:
                self._stream.write(line)
                self._stream.flush()
        except (OSError, ValueError, TypeError):
            _log.exception("%d spans could not be written", len(spans))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Refuse further batches."""
        self._ended = True

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: each batch is flushed when it is written."""
        del timeout_millis
        return True


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Return the spans as one line of OTLP JSON (an ``ExportTraceServiceRequest``), grouped by resource and scope."""
    if not spans:
        return b""
    groups: dict[Resource, dict[InstrumentationScope | None, list[dict[str, Any]]]] = {}
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for span in spans:
        # By identity first: the hash of a resource is made of its attributes as JSON.
        place = id(span.resource), id(span.instrumentation_scope)
        if place not in found:
            found[place] = groups.setdefault(span.resource, {}).setdefault(span.instrumentation_scope, [])
        found[place].append(_span(span))
    request = {
        "resourceSpans": [
            {
                "resource": _present(attributes=_attributes(resource.attributes)),
                "scopeSpans": [
                    {"scope": _scope(scope), "spans": encoded, **_schema(scope)} for scope, encoded in scopes.items()
                ],
                **_schema(resource),
            }
            for resource, scopes in groups.items()
        ]
    }
    try:
        return orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half of a surrogate pair, which is no valid UTF-8
        return f"{json.dumps(request, separators=(',', ':'))}\n".encode()


def _span(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.get_span_context() or INVALID_SPAN_CONTEXT, span.parent
    found: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "flags": _flags(parent),
        "kind": span.kind.value + _KIND_OFFSET,
        "name": span.name,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": _attributes(span.attributes),
        "status": _present(message=span.status.description, code=span.status.status_code.value),
    }
    if parent:
        found["parentSpanId"] = f"{parent.span_id:016x}"
    rare = _rare(span, context) if context.trace_state or span.events or span.links or _dropped(span) else {}
    return found | rare


def _rare(span: ReadableSpan, context: SpanContext) -> dict[str, Any]:
    return _present(
        traceState=",".join([f"{key}={value}" for key, value in context.trace_state.items()]),
        events=[_event(event) for event in span.events],
        links=[_link(link) for link in span.links],
        droppedAttributesCount=span.dropped_attributes,
        droppedEventsCount=span.dropped_events,
        droppedLinksCount=span.dropped_links,
    )


def _dropped(span: ReadableSpan) -> bool:
    return bool(span.dropped_attributes or span.dropped_events or span.dropped_links)


def _event(event: Event) -> dict[str, Any]:
    return _present(
        timeUnixNano=str(event.timestamp) if event.timestamp else None,
        name=event.name,
        attributes=_attributes(event.attributes),
        droppedAttributesCount=event.dropped_attributes,
    )


def _link(link: Link) -> dict[str, Any]:
    return _present(
        traceId=f"{link.context.trace_id:032x}",
        spanId=f"{link.context.span_id:016x}",
        attributes=_attributes(link.attributes),
        droppedAttributesCount=link.dropped_attributes,
        flags=_flags(link.context),
    )


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | _IS_REMOTE if context and context.is_remote else _HAS_IS_REMOTE


def _scope(scope: InstrumentationScope | None) -> dict[str, Any]:
    if scope is None:
        return {}
    return _present(name=scope.name, version=scope.version, attributes=_attributes(scope.attributes))


def _schema(one: Resource | InstrumentationScope | None) -> dict[str, str]:
    return {"schemaUrl": one.schema_url} if one and one.schema_url else {}


def _present(**fields: Any) -> dict[str, Any]:
    """Return the fields that are neither empty nor zero: OTLP JSON leaves out what has its default value."""
    return {name: value for name, value in fields.items() if value}


def _attributes(attributes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if not attributes:
        return []
    # A copy is a plain dictionary: the SDK's own mapping takes a call of Python for each item.
    plain: Mapping[str, Any] = copied() if (copied := getattr(attributes, "copy", None)) else attributes
    return [
        {"key": key, "value": {"stringValue": value} if type(value) is str else _value(value)}
        for key, value in plain.items()
        if type(value) in _USUAL or _known(key, value)
    ]


def _known(key: str, value: Any) -> bool:
    """Tell whether OTLP has a kind for `value`; one that it has not is logged and left out."""
    if value is None or isinstance(value, _KINDS):
        return True
    _log.error("The attribute %s of the type %s cannot be encoded", key, type(value).__name__)
    return False


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NOT_FINITE[str(value)]}
    return _seldom(value)


def _seldom(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, Sequence):
        return {"arrayValue": _present(values=[_value(one) for one in value])}
    return {"kvlistValue": _present(values=_attributes({str(key): one for key, one in value.items()}))}
