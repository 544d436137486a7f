"""Traces of a run: how many root spans there are, and the spans of the traces that a report wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

import msgspec

from reelbench.reporting.evidence import otlp

ROOT_SPAN = "loadgen.job"


@dataclass(frozen=True, slots=True, order=True)
class RootKey:
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


@dataclass(frozen=True, slots=True)
class TraceEvidence:
    """Answer of a trace source for a report."""

    roots: Counter[RootKey] | None = None
    """Number of root spans for each run, scenario, case and outcome; None when that is not known."""
    spans: Mapping[str, tuple[TraceSpan, ...]] = field(default_factory=dict)
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


def trace_span(service: str, span: otlp.Span, span_id: str, parent_id: str) -> TraceSpan:
    """What a report needs of a span; the ids are arguments because their writing differs."""
    status, written = span.end(), bytes(span.attributes)
    failed = status.code in otlp.ERROR
    # three of four spans have nothing to read, as a search of their bytes shows; an escaped key has other bytes
    read = failed or b'"scene"' in written or b'"http.request.resend_count"' in written or b"\\" in written
    values = span.values() if read else {}
    scene = values.get("scene")
    resend = values.get("http.request.resend_count")
    return TraceSpan(
        started=int(span.started) / 1e9,
        ended=int(span.ended) / 1e9,
        service=service,
        name=span.name,
        span_id=span_id,
        parent_id=parent_id,
        error=(status.message or values.get("error.type", otlp.Value()).string or "error") if failed else "",
        attempt=int(resend.integer) + 1 if resend else 1,
        scene=str(scene.integer) if scene else "",
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
