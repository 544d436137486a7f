"""Spans as one line of OTLP JSON, joined from texts that are rendered once.

The spans of a process repeat their names, their keys and most of their values, so the text of an attribute is kept and
found again by its type, key and value. No object is built for a span.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext, SpanKind, Status, TraceState

from reelbench.telemetry.span_text import (
    HAS_IS_REMOTE,
    IS_REMOTE,
    RenderedSpans,
    attribute_text,
    field,
    parent_text,
    quoted,
    span_text,
    status_text,
)

_log = logging.getLogger(__name__)

_KEPT = 8192
"""Most texts that are kept. When there are more, all are dropped, and the usual ones come back."""
_LONGEST_KEPT = 256
"""Characters of the longest value whose text is kept."""
_TURN = 128
"""Spans encoded in one go, about a millisecond. Then a thread that waits, such as the event loop's, has its turn:
otherwise it would wait for the interpreter's switch interval of five milliseconds, batch after batch."""


class EndedSpan(Protocol):
    """What the encoder reads of a span; a span of the SDK has these properties too."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def context(self) -> SpanContext | None: ...  # noqa: D102
    @property
    def parent(self) -> SpanContext | None: ...  # noqa: D102
    @property
    def kind(self) -> SpanKind: ...  # noqa: D102
    @property
    def start_time(self) -> int | None: ...  # noqa: D102
    @property
    def end_time(self) -> int | None: ...  # noqa: D102
    @property
    def attributes(self) -> Mapping[str, Any] | None: ...  # noqa: D102
    @property
    def events(self) -> Sequence[Event]: ...  # noqa: D102
    @property
    def links(self) -> Sequence[Link]: ...  # noqa: D102
    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def dropped_attributes(self) -> int: ...  # noqa: D102
    @property
    def dropped_events(self) -> int: ...  # noqa: D102
    @property
    def dropped_links(self) -> int: ...  # noqa: D102
    @property
    def resource(self) -> Resource: ...  # noqa: D102
    @property
    def instrumentation_scope(self) -> InstrumentationScope | None: ...  # noqa: D102


class _Texts(dict[Any, str]):
    """Texts by what they are made of; a missing one is made, and a bounded number is kept."""

    def __init__(self, make: Callable[[Any], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> str:
        if len(self) >= _KEPT:
            self.clear()
        text = self[key] = self._make(key)
        return text


class SpanEncoder:
    """Encodes batches of spans; keeps the texts of names and attributes from batch to batch."""

    def __init__(self) -> None:
        self._names = _Texts(quoted)
        self._trace_ids = _Texts("{:032x}".format)
        # By type first: 1, True and 1.0 are equal keys of a dictionary. Floats are not kept, because 0.0 equals -0.0.
        self._attributes: dict[type, dict[str, dict[Any, str]]] = {str: {}, int: {}, bool: {}}
        self._kept = 0

    def encode(self, spans: Iterable[EndedSpan | RenderedSpans]) -> bytes:
        """Return the spans as one line (an ``ExportTraceServiceRequest``), grouped by resource and scope."""
        groups: dict[Resource, dict[InstrumentationScope | None, list[str]]] = {}
        found: dict[tuple[int, int], list[str]] = {}
        resource, scope, texts = None, None, []
        for number, span in enumerate(spans, 1):
            if span.resource is not resource or span.instrumentation_scope is not scope:
                resource, scope = span.resource, span.instrumentation_scope
                # By identity first: the hash of a resource is made of its attributes as JSON.
                place = id(resource), id(scope)
                if place not in found:
                    found[place] = groups.setdefault(resource, {}).setdefault(scope, [])
                texts = found[place]
            if isinstance(span, RenderedSpans):
                texts += span.texts()
            else:
                texts.append(self._span(span))
            if not number % _TURN:
                time.sleep(0)
        if not groups:
            return b""
        # Spans, scopes and resources have a comma between them, so one join copies the texts once.
        parts: list[str] = []
        for resource, scopes in groups.items():
            first = len(parts)
            for scope, texts in scopes.items():
                texts[0] = f'{{"scope":{self._scope(scope)},"spans":[{texts[0]}'
                texts[-1] += f"]{_schema(scope)}}}"
                parts += texts
            attributes = self._list(resource.attributes)
            parts[first] = f'{{"resource":{{"attributes":[{attributes}]}},"scopeSpans":[{parts[first]}'
            parts[-1] += f"]{_schema(resource)}}}"
        parts[0] = f'{{"resourceSpans":[{parts[0]}'
        parts[-1] += "]}\n"
        return ",".join(parts).encode("ascii")

    def _scope(self, scope: InstrumentationScope | None) -> str:
        if scope is None:
            return "{}"
        attributes = f',"attributes":[{self._list(scope.attributes)}]' if scope.attributes else ""
        return f'{{"name":{quoted(scope.name)}{field("version", scope.version)}{attributes}}}'

    def _span(self, span: EndedSpan) -> str:
        trace_id, span_id, _, _, trace_state, _ = span.context or INVALID_SPAN_CONTEXT
        above, flags = "", HAS_IS_REMOTE
        if parent := span.parent:
            above = parent_text(parent.span_id.to_bytes(8).hex())
            flags = _flags(parent)
        status, rare = span.status, ""
        if trace_state or span.events or span.links or _dropped(span):
            rare = self._rare(span, trace_state)
        return span_text(
            self._trace_ids[trace_id],
            span_id.to_bytes(8).hex(),
            above,
            flags,
            span.kind,
            self._names[span.name],
            span.start_time or 0,
            span.end_time or 0,
            self._list(span.attributes),
            status_text(status.status_code._value_, status.description),
            rare,
        )

    def _rare(self, span: EndedSpan, trace_state: TraceState) -> str:
        state = ",".join([f"{key}={value}" for key, value in trace_state.items()])
        events, links = ",".join(map(self._event, span.events)), ",".join(map(self._link, span.links))
        return (
            f'{field("traceState", state)},"events":[{events}],"links":[{links}]'
            f"{_count('Attributes', span.dropped_attributes)}{_count('Events', span.dropped_events)}"
            f"{_count('Links', span.dropped_links)}"
        )

    def _event(self, event: Event) -> str:
        return (
            f'{{"timeUnixNano":"{event.timestamp or 0}","name":{quoted(event.name)},'
            f'"attributes":[{self._list(event.attributes)}]{_count("Attributes", event.dropped_attributes)}}}'
        )

    def _link(self, link: Link) -> str:
        context = link.context
        return (
            f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}","flags":{_flags(context)},'
            f'"attributes":[{self._list(link.attributes)}]{_count("Attributes", link.dropped_attributes)}}}'
        )

    def _list(self, attributes: Mapping[str, Any] | None) -> str:
        """Return the elements of a list of attributes."""
        if not attributes:
            return ""
        # A copy is a plain dictionary, which a thread that is late cannot change.
        plain: Mapping[str, Any] = copied() if (copied := getattr(attributes, "copy", None)) else dict(attributes)
        kept, texts = self._attributes, []
        for key, value in plain.items():
            try:
                texts.append(kept[type(value)][key][value])
            except KeyError:
                texts.extend(self._attribute(key, value))
        return ",".join(texts)

    def _attribute(self, key: str, value: Any) -> tuple[str, ...]:
        """Return the text of an attribute that is not kept; one of a foreign type is logged and left out."""
        try:
            text = attribute_text(key, value)
        except (TypeError, ValueError) as error:
            _log.error("The attribute %s cannot be encoded: %s", key, error)
            return ()
        kind = type(value)
        if kind in self._attributes and (kind is not str or len(value) <= _LONGEST_KEPT):
            if self._kept >= _KEPT:
                self._attributes = {known: {} for known in self._attributes}
                self._kept = 0
            self._attributes[kind].setdefault(key, {})[value] = text
            self._kept += 1
        return (text,)


def _flags(context: SpanContext) -> int:
    return HAS_IS_REMOTE | IS_REMOTE if context.is_remote else HAS_IS_REMOTE


def _dropped(span: EndedSpan) -> bool:
    return bool(span.dropped_attributes or span.dropped_events or span.dropped_links)


def _count(what: str, count: int) -> str:
    return f',"dropped{what}Count":{count}' if count else ""


def _schema(one: Resource | InstrumentationScope | None) -> str:
    return field("schemaUrl", one.schema_url) if one else ""
