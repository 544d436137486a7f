"""The texts that OTLP JSON consists of: spans, attributes and their values."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:  # a process without an exporter of spans does not load the SDK's spans
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

quoted: Final = json.JSONEncoder().encode
"""Return a text as JSON in ASCII: half of a surrogate pair, which has no UTF-8, is escaped."""
_KIND_OFFSET = 1
"""OTLP counts kinds of spans from 1 (internal) on, the API from 0."""
_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
"""OTLP has integers of 64 bits. A receiver refuses the whole batch for a longer one, so it is written as a text."""
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200
"""Flags of a span: whether its parent's being remote is known, and whether the parent is remote."""


class RenderedSpans:
    """Ended spans of one resource and scope that make their own text, such as all spans of a job."""

    __slots__ = ()

    resource: Resource
    instrumentation_scope: InstrumentationScope

    def __len__(self) -> int:
        """Return the number of spans."""
        raise NotImplementedError

    def texts(self) -> list[str]:
        """Return each span as an element of a list; the thread of the exporter calls it, once for each exporter."""
        raise NotImplementedError


class SpanSink(NamedTuple):
    """Receiver of rendered spans, which a tracer has when all its exporters write OTLP JSON."""

    resource: Resource
    scope: InstrumentationScope
    add: Callable[[RenderedSpans], None]
    now: Callable[[], int]
    """Nanoseconds since 1970."""


def number(spans: Sequence[object]) -> int:
    """Return the number of spans in a queue or a batch."""
    return sum(len(one) if isinstance(one, RenderedSpans) else 1 for one in spans)


def span_text(  # noqa: PLR0917 - positional arguments cost less, and each span needs this call
    trace_id: str,
    span_id: str,
    above: str,
    flags: int,
    kind: SpanKind,
    name: str,
    start_time: int | str,
    end_time: int | str,
    attributes: str,
    status: str,
    rare: str = "",
) -> str:
    """Return a span.

    Args:
        trace_id: hexadecimal.
        span_id: hexadecimal.
        above: the field with the parent's id; empty: no parent.
        flags: whether the parent is remote.
        kind: as the API has it.
        name: quoted.
        start_time: nanoseconds since 1970.
        end_time: nanoseconds since 1970.
        attributes: elements of the list.
        status: fields of the status.
        rare: further fields.
    """
    return (
        f'{{"traceId":"{trace_id}","spanId":"{span_id}",{above}'
        f'"flags":{flags},"kind":{kind._value_ + _KIND_OFFSET},"name":{name},'
        f'"startTimeUnixNano":"{start_time}","endTimeUnixNano":"{end_time}",'
        f'"attributes":[{attributes}],"status":{{{status}}}{rare}}}'
    )


def status_text(code: int, message: str | None) -> str:
    """Return the fields of a status; 0 is unset."""
    return f'"code":{code}{field("message", message)}' if code else ""


def parent_text(span_id: str) -> str:
    """Return the field with the id of a parent."""
    return f'"parentSpanId":"{span_id}",'


def attribute_text(key: str, value: Any) -> str:
    """Return an attribute; a value of a foreign type is a `TypeError`."""
    return f'{{"key":{quoted(key)},"value":{{{_value(value)}}}}}'


def _value(value: Any) -> str:  # noqa: PLR0911 - one for each kind of value
    if value is None:
        return ""
    if isinstance(value, str):
        return f'"stringValue":{quoted(value)}'
    if isinstance(value, bool):
        return f'"boolValue":{"true" if value else "false"}'
    if isinstance(value, int):
        kind = "intValue" if _SMALLEST <= value <= _LARGEST else "stringValue"
        return f'"{kind}":"{int.__repr__(value)}"'
    if isinstance(value, float):
        text = float.__repr__(value)
        return f'"doubleValue":{text if math.isfinite(value) else _NOT_FINITE[text]}'
    if isinstance(value, bytes):
        return f'"bytesValue":"{base64.b64encode(value).decode()}"'
    if isinstance(value, Sequence):
        return f'"arrayValue":{{"values":[{",".join([f"{{{_value(one)}}}" for one in value])}]}}'
    if isinstance(value, Mapping):
        pairs = ",".join([attribute_text(str(key), one) for key, one in value.items()])
        return f'"kvlistValue":{{"values":[{pairs}]}}'
    raise TypeError(f"OTLP has no value of the type {type(value).__name__}")


def field(name: str, text: str | None) -> str:
    """Return one more field of an object; empty: the text is empty, which is the default of OTLP."""
    return f',"{name}":{quoted(text)}' if text else ""
