"""Traces in the files of a run, read once from end to end; large ones by a process for each core."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from reelbench.module_process import available_cores
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.evidence.reading_process import ReadAhead, ReadingError, read_apart
from reelbench.reporting.evidence.trace_parts import Found, files_in, read, split
from reelbench.reporting.evidence.traces import RootKey, TraceEvidence, TraceSpan, in_order

PART_BYTES = 256 * 1024 * 1024
"""Least share of a reading process; reading it takes about a second, starting a process a tenth of that."""


class FileTraces:
    """Traces in ``traces/*.jsonl``: OTLP JSON, one export batch a line, ids in hexadecimal.

    Each byte is read once. One line is held at a time, of its spans the attributes stay bytes, and only spans of
    wanted traces are kept, so memory is bounded by the exporter's batch and the number of wanted traces. A line that is
    not valid, or a wanted span whose numbers are not numbers, is counted and left out, and so is a last line in the
    middle of which the writer was killed.
    """

    per_case = 500
    """About 35 spans each, so a level costs some 5 MB of memory; the mean of 500 is as good as any."""

    def __init__(
        self,
        folder: Path,
        *,
        ahead: ReadAhead | None = None,
        processes: int | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """Read the files of a folder.

        Args:
            folder: Where the files are.
            ahead: The process that reads these files already; it answers the first call of `gather`. Where it has
                ended without an answer, this process reads.
            processes: Reading processes at most; default: one for each core that this process may use.
            part_bytes: Least bytes for each reading process.
        """
        self._folder = folder
        self._ahead = ahead
        self._processes = processes or available_cores()
        self._part_bytes = part_bytes

    def gather(self, wanted: Collection[str]) -> TraceEvidence:
        """Count the root spans and read the wanted traces, all in one pass over the files.

        Raises:
            QueryError: a reading process was killed.
        """
        files = files_in(self._folder)
        if not files:
            return TraceEvidence(absent="the run kept no traces")
        try:
            found = self._found(files, wanted)
        except ReadingError as error:
            raise QueryError(str(error)) from error
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
            damaged=sum(one.damaged + sum(one.malformed.values()) for one in found),
            cut_off=sum(one.cut_off for one in found),
        )

    def _found(self, files: Sequence[tuple[str, int]], wanted: Collection[str]) -> list[Found]:
        """Return what the parts of the files hold."""
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            with suppress(ReadingError):
                return ahead.found(wanted)
        shares = split(files, self._processes, self._part_bytes)
        if len(shares) == 1:
            return [read(shares[0], wanted)]
        with ThreadPoolExecutor(len(shares)) as pool:
            return list(pool.map(lambda share: read_apart(share, wanted), shares))

    def root_spans(self) -> Counter[RootKey] | None:
        """Number of root spans for each run, scenario, case and outcome; None when no trace was kept."""
        return self.gather(()).roots

    def trace(self, trace_id: str) -> tuple[TraceSpan, ...]:
        """Return the spans of a trace (32 hexadecimal digits) by start; empty without spans."""
        return self.gather((trace_id.lower(),)).spans.get(trace_id.lower(), ())
