"""Traces of a run: how many root spans there are, and the spans of the traces that a report wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
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


@dataclass(frozen=True, slots=True, order=True)
class TraceSpan:
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


class FileTraces:
    """Traces in ``traces/*.jsonl``: OTLP JSON, one export batch a line, ids in hexadecimal.

    One line is held at a time and of its spans only those that are wanted are kept, so memory is bounded by the
    exporter's batch and the number of wanted traces. A line that is not valid (the writer was killed in the middle of
    it), or a wanted span whose numbers are none, is counted in `damaged` and left out.
    """

    per_case = 500
    """About 35 spans each, so a level costs some 5 MB of memory; the mean of 500 is as good as any."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.damaged = 0

    def gather(self, wanted: Collection[str]) -> TraceEvidence:
        """Count the root spans and read the wanted traces, all in one pass over the files."""
        if not self._files():
            return TraceEvidence(absent="the run kept no traces")
        roots: Counter[RootKey] = Counter()
        found: dict[str, list[TraceSpan]] = {trace: [] for trace in wanted}
        for service, span in self._spans():
            if span.name == ROOT_SPAN and not span.parent.strip("0"):
                roots[_root(span)] += 1
            if (kept := found.get(span.trace)) is not None:
                try:
                    kept.append(trace_span(service, span, span.span, span.parent))
                except (ValueError, OverflowError):  # a malformed time or number
                    self.damaged += 1
        spans = {trace: in_order(spans) for trace, spans in found.items() if spans}
        return TraceEvidence(roots, spans, per_case=self.per_case)

    def root_spans(self) -> Counter[RootKey] | None:
        """Number of root spans for each run, scenario, case and outcome; None when no trace was kept."""
        return self.gather(()).roots

    def trace(self, trace_id: str) -> tuple[TraceSpan, ...]:
        """Return the spans of a trace (32 hexadecimal digits) by start; empty without spans."""
        return self.gather((trace_id.lower(),)).spans.get(trace_id.lower(), ())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))

    def _spans(self) -> Iterator[tuple[str, otlp.Span]]:
        self.damaged = 0
        decoder = msgspec.json.Decoder(otlp.Batch)
        for path in self._files():
            with path.open("rb") as file:
                for line in file:
                    try:
                        batch = decoder.decode(line)
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        self.damaged += 1
                        continue
                    yield from batch.spans()


def trace_span(service: str, span: otlp.Span, span_id: str, parent_id: str) -> TraceSpan:
    """What a report needs of a span; the ids are arguments because their writing differs."""
    values = {attribute.key: attribute.value for attribute in span.attributes}
    failed = span.status.code in otlp.ERROR
    scene = values.get("scene")
    resend = values.get("http.request.resend_count")
    return TraceSpan(
        started=int(span.started) / 1e9,
        ended=int(span.ended) / 1e9,
        service=service,
        name=span.name,
        span_id=span_id,
        parent_id=parent_id,
        error=(span.status.message or values.get("error.type", otlp.Value()).string or "error") if failed else "",
        attempt=int(resend.integer) + 1 if resend else 1,
        scene=str(scene.integer) if scene else "",
    )


def in_order(spans: Collection[TraceSpan]) -> tuple[TraceSpan, ...]:
    """Spans by start, each once: an exporter that was not answered sends a batch again."""
    return tuple(sorted({span.span_id: span for span in spans}.values(), key=attrgetter("started", "ended", "span_id")))


def _root(span: otlp.Span) -> RootKey:
    values = {attribute.key: attribute.value for attribute in span.attributes}
    run_id, scenario, case, outcome = (
        values.get(key, otlp.Value()).string for key in ("run_id", "scenario", "case", "loadgen.job.outcome")
    )
    return RootKey(run_id, scenario, case, outcome, values.get("loadgen.job.warmup", otlp.Value()).boolean)
