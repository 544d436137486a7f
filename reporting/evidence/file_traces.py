"""Traces in the files of a run, read once from end to end; large ones by a process for each core."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from reelbench.module_process import available_cores, module_process
from reelbench.reporting.evidence import otlp
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.evidence.traces import (
    ROOT_SPAN,
    RootKey,
    TraceEvidence,
    TraceSpan,
    in_order,
    root_key,
    trace_span,
)

PART_BYTES = 256 * 1024 * 1024
"""Least share of a reading process; reading it takes about a second, starting a process a tenth of that."""
_BUFFER = 1 << 20
"""Bytes read at once: a line of a batch is some 100 kB, and the default buffer would put it together from 8 kB."""


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
    """Lines, root spans and wanted spans that are not valid."""
    cut_off: int = 0
    """Files whose last line is not complete."""


class _Order(msgspec.Struct, frozen=True):
    """What a reading process is asked for."""

    parts: list[Part]
    wanted: list[str]


class FileTraces:
    """Traces in ``traces/*.jsonl``: OTLP JSON, one export batch a line, ids in hexadecimal.

    Each byte is read once. One line is held at a time, of its spans the attributes stay bytes, and only spans of
    wanted traces are kept, so memory is bounded by the exporter's batch and the number of wanted traces. A line that is
    not valid, or a wanted span whose numbers are not numbers, is counted and left out, and so is a last line in the
    middle of which the writer was killed.
    """

    per_case = 500
    """About 35 spans each, so a level costs some 5 MB of memory; the mean of 500 is as good as any."""

    def __init__(self, folder: Path, *, processes: int | None = None, part_bytes: int = PART_BYTES) -> None:
        """Read the files of a folder.

        Args:
            folder: Where the files are.
            processes: Reading processes at most; default: one for each core that this process may use.
            part_bytes: Least bytes for each reading process.
        """
        self._folder = folder
        self._processes = processes or available_cores()
        self._part_bytes = part_bytes

    def gather(self, wanted: Collection[str]) -> TraceEvidence:
        """Count the root spans and read the wanted traces, all in one pass over the files.

        Raises:
            QueryError: a reading process was killed.
        """
        files = sorted(self._folder.glob("*.jsonl"))
        if not files:
            return TraceEvidence(absent="the run kept no traces")
        shares = split([(str(path), path.stat().st_size) for path in files], self._processes, self._part_bytes)
        if len(shares) == 1:
            found = [read(shares[0], wanted)]
        else:
            decode = msgspec.msgpack.Decoder(Found).decode  # once: threads must not look into the same type together
            with ThreadPoolExecutor(len(shares)) as pool:
                found = [decode(answer) for answer in pool.map(lambda share: _read_apart(share, wanted), shares)]
        roots: Counter[RootKey] = Counter()
        spans: dict[str, list[TraceSpan]] = {}
        for one in found:
            for key, count in one.roots:
                roots[key] += count
            for trace, kept in one.spans.items():
                spans.setdefault(trace, []).extend(kept)
        return TraceEvidence(
            roots,
            {trace: in_order(kept) for trace, kept in spans.items()},
            per_case=self.per_case,
            damaged=sum(one.damaged for one in found),
            cut_off=sum(one.cut_off for one in found),
        )

    def root_spans(self) -> Counter[RootKey] | None:
        """Number of root spans for each run, scenario, case and outcome; None when no trace was kept."""
        return self.gather(()).roots

    def trace(self, trace_id: str) -> tuple[TraceSpan, ...]:
        """Return the spans of a trace (32 hexadecimal digits) by start; empty without spans."""
        return self.gather((trace_id.lower(),)).spans.get(trace_id.lower(), ())


def split(files: Sequence[tuple[str, int]], processes: int, least: int) -> list[list[Part]]:
    """Split files (path and bytes) into equal shares of at least `least` bytes, one for each process."""
    total = sum(size for _, size in files)
    shares = max(1, min(processes, total // least))
    cuts = [total * number // shares for number in range(shares + 1)]
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


def read(parts: Iterable[Part], wanted: Collection[str]) -> Found:
    """Count the root spans of parts and keep the spans of the wanted traces."""
    found = Found()
    roots: Counter[RootKey] = Counter()
    decode = msgspec.json.Decoder(otlp.Batch).decode
    traces = frozenset(wanted)
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
            for service, spans in batch.by_service():
                for span in spans:
                    try:
                        if span.name == ROOT_SPAN and not span.parent.strip("0"):
                            roots[root_key(span)] += 1
                        if span.trace in traces:
                            kept = trace_span(service, span, span.span, span.parent)
                            found.spans.setdefault(span.trace, []).append(kept)
                    except (ValueError, OverflowError, msgspec.MsgspecError):  # a malformed time, number or attribute
                        found.damaged += 1
    found.roots = list(roots.items())
    return found


def _lines(part: Part) -> Iterable[bytes]:
    with Path(part.path).open("rb", buffering=_BUFFER) as file:
        at = part.start
        if at:  # the line that holds the byte before belongs to the part before
            file.seek(at - 1)
            at += len(file.readline()) - 1
        while at < part.end and (line := file.readline()):
            at += len(line)
            yield line


def _read_apart(parts: list[Part], wanted: Collection[str]) -> bytes:
    """Read parts in a process of their own; return what was found, encoded."""
    command, environment = module_process(__name__)
    done = subprocess.run(
        command,
        input=msgspec.msgpack.encode(_Order(parts, list(wanted))),
        env=environment,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise QueryError(f"a process that read the files of traces ended with code {done.returncode}; export again")
    return done.stdout


def _main() -> None:
    """Read an order from standard input and write what was found to standard output."""
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Order)
    sys.stdout.buffer.write(msgspec.msgpack.encode(read(order.parts, order.wanted)))


if __name__ == "__main__":
    _main()
