"""Traces of a run: how many root spans there are, and the spans of the traces that a report wants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Protocol

import msgspec

from reelbench.reporting.evidence import otlp

ROOT_SPAN = "loadgen.job"
_SCENE = b'"scene"'
MARKS = (_SCENE, b'"http.request.resend_count"', b'"kvlistValue"', b"\\")
"""Byte strings of which attributes worth decoding have at least one; a backslash means that a key may be escaped."""
_SCENE_ALONE = (_SCENE,)
_NUMBER = re.compile(rb'"scene"(?:,"value":\{"intValue":"(\d+)"\}\})?')
"""The number of the scene as the exporters write it, found in a seventh of the time of reading all attributes."""


class RootKey(msgspec.Struct, frozen=True, order=True):
    """What root spans are counted by."""

    run_id: str
    scenario: str
    case: str
    outcome: str
    warmup: bool = False


class TraceSpan(msgspec.Struct, frozen=True, order=True, gc=False):
    """One span of a trace; instants are Unix time in seconds."""

    started: float
    ended: float
    service: str
    name: str
    span_id: str
    parent_id: str
    error: str = ""
    """What the span says of its failure, or its kind; empty when the span did not fail."""
    attempt: int = 1
    """Which attempt at a call the span is, from 1."""
    scene: str = ""
    """Number of the scene, from 0, of a span that belongs to one."""


class TraceEvidence(msgspec.Struct, frozen=True):
    """Answer of a trace source for a report."""

    roots: Counter[RootKey] | None = None
    """Number of root spans for each run, scenario, case and outcome; None when that is not known."""
    spans: Mapping[str, tuple[TraceSpan, ...]] = msgspec.field(default_factory=dict)
    """Spans by start of the traces that were asked for and found, by trace id."""
    absent: str = ""
    """Why there are no traces; empty when the source answered."""
    per_case: int = 0
    """Most traces of completed jobs of one case that were requested."""
    damaged: int = 0
    """Lines and spans that are not valid, and left out."""
    cut_off: int = 0
    """Files whose last line is not complete, as its writer was killed."""


class TraceSource(Protocol):
    """Where traces are kept: files of a run, or a trace store."""

    @property
    def per_case(self) -> int:
        """How many traces of one case may be asked for; beyond that, a sample has to do."""

    def gather(self, wanted: Collection[str]) -> TraceEvidence:
        """Count the root spans and read the wanted traces (ids of 32 hexadecimal digits)."""

    def root_spans(self) -> Counter[RootKey] | None:
        """Number of root spans for each run, scenario, case and outcome; None when no trace was kept."""

    def trace(self, trace_id: str) -> tuple[TraceSpan, ...]:
        """Return the spans of a trace (32 hexadecimal digits) by start; empty without spans."""


def marks_in(text: bytes) -> tuple[bytes, ...]:
    """Return which of the marks a text of many spans has, for `trace_span`."""
    return tuple(mark for mark in MARKS if mark in text)


def trace_span(
    service: str, span: otlp.Span, span_id: str, parent_id: str, marks: tuple[bytes, ...] = MARKS
) -> TraceSpan:
    """What a report needs of a span; the ids are arguments because their writing differs.

    Args:
        service: ``service.name`` of its process.
        span: The span.
        span_id: Its id in hexadecimal.
        parent_id: The id of its parent.
        marks: What to look for in its attributes; `marks_in` of a text that holds the span.

    Raises:
        ValueError, OverflowError: a time is not a number, or too large.
        msgspec.MsgspecError: the attributes or the status are not those of a span.
    """
    failed = (status := span.end()).code in otlp.ERROR
    error, attempt, scene = "", 1, ""
    if failed:
        whole = True
    elif marks == _SCENE_ALONE:
        number = _NUMBER.search(span.attributes)
        whole = number is not None and number[1] is None  # in another notation
        scene = number[1].decode() if number is not None and not whole else ""
    else:
        written = bytes(span.attributes) if marks else b""
        whole = any(mark in written for mark in marks)
    if whole:
        values = span.values()
        if failed:
            error = status.message or values.get("error.type", otlp.Value()).string or "error"
        if resend := values.get("http.request.resend_count"):
            attempt = int(resend.integer) + 1
        if found := values.get("scene"):
            scene = str(found.integer)
    return TraceSpan(
        int(span.started) / 1e9, int(span.ended) / 1e9, service, span.name, span_id, parent_id, error, attempt, scene
    )


def in_order(spans: Collection[TraceSpan]) -> tuple[TraceSpan, ...]:
    """Spans by start, each once: an exporter that was not answered sends a batch again."""
    return tuple(sorted({span.span_id: span for span in spans}.values(), key=attrgetter("started", "ended", "span_id")))


def root_key(span: otlp.Span) -> RootKey:
    """Return what a root span is counted by."""
    values = span.values()
    run_id, scenario, case, outcome = (
        values.get(key, otlp.Value()).string for key in ("run_id", "scenario", "case", "loadgen.job.outcome")
    )
    return RootKey(run_id, scenario, case, outcome, values.get("loadgen.job.warmup", otlp.Value()).boolean)
