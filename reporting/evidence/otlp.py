"""Spans in OTLP's JSON: files of a run and Tempo's answers differ only in the notation of ids and codes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

# gc=False: a big run has millions of these, they hold no circles, and the collector would look at them all.
ERROR = (2, "STATUS_CODE_ERROR")
"""The status code of an error: a number in files, its name in Tempo's answers."""


class Value(msgspec.Struct, gc=False):
    """The value of an attribute; kinds that no report needs are ignored."""

    string: str = msgspec.field(name="stringValue", default="")
    boolean: bool = msgspec.field(name="boolValue", default=False)
    integer: int | str = msgspec.field(name="intValue", default=0)
    double: float = msgspec.field(name="doubleValue", default=0.0)

    def text(self) -> str:
        """Return the value as text; empty without one."""
        return self.string or (f"{self.double:g}" if self.double else "")


class Attribute(msgspec.Struct, gc=False):
    """One attribute of a span or a resource, or one label."""

    key: str
    value: Value = msgspec.field(default_factory=Value)


class Status(msgspec.Struct, frozen=True, gc=False):
    """How a span ended."""

    code: int | str = 0
    message: str = ""


class Span(msgspec.Struct, gc=False):
    """One span; instants are nanoseconds of Unix time as text.

    Attributes and status stay bytes until they are asked for: reports look at one span in a thousand of a large run.
    """

    span: str = msgspec.field(name="spanId")
    trace: str = msgspec.field(name="traceId", default="")
    name: str = ""
    parent: str = msgspec.field(name="parentSpanId", default="")
    started: str = msgspec.field(name="startTimeUnixNano", default="0")
    ended: str = msgspec.field(name="endTimeUnixNano", default="0")
    attributes: msgspec.Raw = msgspec.Raw(b"[]")
    status: msgspec.Raw = msgspec.Raw(b"{}")

    def values(self) -> dict[str, Value]:
        """Return the attributes by key.

        Raises:
            msgspec.MsgspecError: the attributes are not those of a span.
        """
        return {attribute.key: attribute.value for attribute in _ATTRIBUTES.decode(self.attributes)}

    def end(self) -> Status:
        """Return how the span ended.

        Raises:
            msgspec.MsgspecError: the status is not that of a span.
        """
        return _STATUS.decode(self.status) if self.status != _UNSET else _NO_STATUS


_ATTRIBUTES = msgspec.json.Decoder(list[Attribute])
_STATUS = msgspec.json.Decoder(Status)
_UNSET = msgspec.Raw(b"{}")
_NO_STATUS = Status()


class _Scope(msgspec.Struct):
    spans: list[Span] = []


class _Resource(msgspec.Struct):
    attributes: list[Attribute] = []


class _ResourceSpans(msgspec.Struct):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scopes: list[_Scope] = msgspec.field(name="scopeSpans", default_factory=list)


class Batch(msgspec.Struct):
    """The spans of one export, or of one trace."""

    resources: list[_ResourceSpans] = msgspec.field(name="resourceSpans", default_factory=list)

    def by_service(self) -> Iterator[tuple[str, list[Span]]]:
        """Yield the spans of each scope with the ``service.name`` of its process."""
        for resource in self.resources:
            service = next((a.value.string for a in resource.resource.attributes if a.key == "service.name"), "")
            for scope in resource.scopes:
                yield service, scope.spans

    def spans(self) -> Iterator[tuple[str, Span]]:
        """Yield every span with the ``service.name`` of its process."""
        for service, spans in self.by_service():
            for span in spans:
                yield service, span
