"""Traces of a run: how many root spans there are, and the spans of one trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

ROOT_SPAN = "loadgen.job"


@dataclass(frozen=True, slots=True, order=True)
class RootKey:
    """What root spans are counted by."""

    run_id: str
    scenario: str
    case: str
    outcome: str
    warmup: bool = False


@dataclass(frozen=True, slots=True, order=True)
class TraceSpan:
    """One span of a trace; instants are Unix time in seconds."""

    started: float
    ended: float
    service: str
    name: str
    span_id: str
    parent_id: str


class TraceSource(Protocol):
    """Where traces are kept: files of a run, or a trace store."""

    def root_spans(self) -> Counter[RootKey] | None:
        """Number of root spans for each run, scenario, case and outcome; None when no trace was kept."""

    def trace(self, trace_id: str) -> tuple[TraceSpan, ...]:
        """The spans of a trace (32 hexadecimal digits) by start; empty when there is none."""


class _AnyValue(msgspec.Struct):
    string: str = msgspec.field(name="stringValue", default="")
    boolean: bool = msgspec.field(name="boolValue", default=False)


class _Attribute(msgspec.Struct):
    key: str
    value: _AnyValue


class _Span(msgspec.Struct):
    trace: str = msgspec.field(name="traceId")
    span: str = msgspec.field(name="spanId")
    name: str = ""
    parent: str = msgspec.field(name="parentSpanId", default="")
    started: str = msgspec.field(name="startTimeUnixNano", default="0")
    ended: str = msgspec.field(name="endTimeUnixNano", default="0")
    attributes: list[_Attribute] = []


class _Scope(msgspec.Struct):
    spans: list[_Span] = []


class _Resource(msgspec.Struct):
    attributes: list[_Attribute] = []


class _ResourceSpans(msgspec.Struct):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scopes: list[_Scope] = msgspec.field(name="scopeSpans", default_factory=list)


class _Line(msgspec.Struct):
    resources: list[_ResourceSpans] = msgspec.field(name="resourceSpans", default_factory=list)


class FileTraces:
    """Traces in ``traces/*.jsonl``: OTLP JSON, one export batch a line, ids in hexadecimal.

    One line is held at a time, so memory is bounded by the exporter's batch. A line that is not valid (the writer
    was killed in the middle of it) is counted in `damaged` and left out.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.damaged = 0

    def root_spans(self) -> Counter[RootKey] | None:
        """Number of root spans for each run, scenario, case and outcome; None when no trace was kept."""
        if not self._files():
            return None
        self.damaged = 0
        counts: Counter[RootKey] = Counter()
        for _, span in self._spans(b'"' + ROOT_SPAN.encode() + b'"'):
            if span.name == ROOT_SPAN and not span.parent.strip("0"):
                values = {attribute.key: attribute.value for attribute in span.attributes}
                run_id, scenario, case, outcome = (
                    values.get(key, _AnyValue()).string for key in ("run_id", "scenario", "case", "loadgen.job.outcome")
                )
                warmup = values.get("loadgen.job.warmup", _AnyValue()).boolean
                counts[RootKey(run_id, scenario, case, outcome, warmup)] += 1
        return counts

    def trace(self, trace_id: str) -> tuple[TraceSpan, ...]:
        """The spans of a trace (32 hexadecimal digits) by start; empty when there is none."""
        self.damaged = 0
        return tuple(
            sorted(
                TraceSpan(int(span.started) / 1e9, int(span.ended) / 1e9, service, span.name, span.span, span.parent)
                for service, span in self._spans(trace_id.lower().encode())
                if span.trace == trace_id.lower()
            )
        )

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))

    def _spans(self, needle: bytes) -> Iterator[tuple[str, _Span]]:
        """Spans of the lines that hold the needle: most lines of a search need no decoding."""
        decoder = msgspec.json.Decoder(_Line)
        for path in self._files():
            with path.open("rb") as file:
                for line in file:
                    if needle not in line:
                        continue
                    try:
                        batch = decoder.decode(line)
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        self.damaged += 1
                        continue
                    for resource in batch.resources:
                        service = next(
                            (a.value.string for a in resource.resource.attributes if a.key == "service.name"), ""
                        )
                        yield from ((service, span) for scope in resource.scopes for span in scope.spans)
