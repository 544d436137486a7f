"""Parts of files with traces: which bytes they are, and what they hold.

The files are OTLP JSON, one export batch a line, ids in hexadecimal. Of the spans of a line, the attributes stay bytes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from reelbench.reporting.evidence import otlp
from reelbench.reporting.evidence.traces import ROOT_SPAN, RootKey, TraceSpan, marks_in, root_key, trace_span

_BUFFER = 1 << 20
"""Bytes read at once: a line of a batch is some 100 kB, and the default buffer would put it together from 8 kB."""
_MALFORMED = (ValueError, OverflowError, msgspec.MsgspecError)
"""Errors of a span with a malformed time, number or attribute."""


class Part(msgspec.Struct, frozen=True):
    """The lines of a file that begin at `start` or later, and before `end`."""

    path: str
    start: int
    end: int


class Found(msgspec.Struct):
    """What parts of trace files hold."""

    roots: list[tuple[RootKey, int]] = []
    """Number of root spans by what they are counted by."""
    spans: dict[str, list[TraceSpan]] = {}
    """Spans of the wanted traces, by trace id."""
    damaged: int = 0
    """Lines and root spans that are not valid."""
    malformed: dict[str, int] = {}
    """Number of spans that are not valid, of the wanted traces that have any."""
    cut_off: int = 0
    """Files whose last line is not complete."""

    def only(self, wanted: Collection[str]) -> Found:
        """Return the same without the traces that are not wanted."""
        return msgspec.structs.replace(
            self,
            spans={trace: spans for trace, spans in self.spans.items() if trace in wanted},
            malformed={trace: count for trace, count in self.malformed.items() if trace in wanted},
        )


def files_in(folder: Path) -> list[tuple[str, int]]:
    """Return paths and bytes of the files with traces."""
    return [(str(path), path.stat().st_size) for path in sorted(folder.glob("*.jsonl"))]


def cut(files: Sequence[tuple[str, int]], cuts: Sequence[int]) -> list[list[Part]]:
    """Cut the concatenation of files (path and bytes) at byte offsets, of which the first and last are its ends."""
    found: list[list[Part]] = []
    for low, high in itertools.pairwise(cuts):
        parts, offset = [], 0
        for path, size in files:
            start, end = max(low - offset, 0), min(high - offset, size)
            if start < end:
                parts.append(Part(path, start, end))
            offset += size
        found.append(parts)
    return found


def split(files: Sequence[tuple[str, int]], processes: int, least: int) -> list[list[Part]]:
    """Split files (path and bytes) into equal shares of at least `least` bytes, one for each process."""
    total = sum(size for _, size in files)
    shares = max(1, min(processes, total // least))
    return cut(files, [total * number // shares for number in range(shares + 1)])


def read(parts: Iterable[Part], wanted: Iterable[str] | None) -> Found:
    """Count the root spans of parts and keep the spans of the wanted traces; None: of all traces."""
    found = Found()
    roots: Counter[RootKey] = Counter()
    decode = msgspec.json.Decoder(otlp.Batch).decode
    traces = frozenset(wanted) if wanted is not None else None
    for part in parts:
        for line in _lines(part):
            try:
                batch = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                if line.endswith(b"\n"):
                    found.damaged += 1
                else:
                    found.cut_off += 1
                continue
            marks = marks_in(line)
            for service, spans in batch.by_service():
                for span in spans:
                    if span.name == ROOT_SPAN and not span.parent.strip("0") and not _counted(span, roots):
                        found.damaged += 1
                    elif traces is None or span.trace in traces:
                        _keep(found, service, span, marks)
    found.roots = list(roots.items())
    return found


def _counted(span: otlp.Span, roots: Counter[RootKey]) -> bool:
    """Count a root span; return False where it is not valid."""
    try:
        roots[root_key(span)] += 1
    except _MALFORMED:
        return False
    return True


def _keep(found: Found, service: str, span: otlp.Span, marks: tuple[bytes, ...]) -> None:
    try:
        kept = trace_span(service, span, span.span, span.parent, marks)
    except _MALFORMED:
        found.malformed[span.trace] = found.malformed.get(span.trace, 0) + 1
    else:
        found.spans.setdefault(span.trace, []).append(kept)


def _lines(part: Part) -> Iterable[bytes]:
    with Path(part.path).open("rb", buffering=_BUFFER) as file:
        at = part.start
        if at:  # the line that holds the byte before belongs to the part before
            file.seek(at - 1)
            at += len(file.readline()) - 1
        while at < part.end and (line := file.readline()):
            at += len(line)
            yield line
