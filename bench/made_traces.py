"""Traces of a made run: the spans that a driven job leaves in the files of three processes, of the same size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TextIO

from reelbench.loadgen.record.jobs import JobRecord

SPANS: Final = {"loadgen": 4, "service": 25, "providers": 11}
"""Spans of a job with five scenes, by process; the first of the load generator is the root."""
BATCH_JOBS: Final = 12
"""Jobs in one line: an exporter writes some 100 spans at once."""
_PADDING: Final = "x" * 300
"""Attributes that no report reads: with them a span has some 700 bytes, as in a driven run."""
_SPAN: Final = (
    '{"traceId":"%s","spanId":"%016x","flags":256,"kind":1,"name":"%s","startTimeUnixNano":"%d","endTimeUnixNano":"%d",'
    '"attributes":[%s{"key":"url.full","value":{"stringValue":"' + _PADDING + '"}},'
    '{"key":"http.request.method","value":{"stringValue":"POST"}},{"key":"http.response.status_code","value":{"intValue":"200"}}],'
    '"status":{}%s}'
)
_ROOT: Final = (
    '{"key":"run_id","value":{"stringValue":"%s"}},{"key":"scenario","value":{"stringValue":"%s"}},'
    '{"key":"case","value":{"stringValue":"%s"}},{"key":"loadgen.job.warmup","value":{"boolValue":false}},'
    '{"key":"loadgen.job.outcome","value":{"stringValue":"%s"}},'
)
_HEAD: Final = (
    '{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"%s"}}]},'
    '"scopeSpans":[{"scope":{"name":"made"},"spans":['
)


def write(folder: Path, run_id: str, jobs: Iterable[JobRecord]) -> int:
    """Write the spans of jobs, one file for each process, and return the bytes."""
    folder.mkdir()
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.jsonl").open("w", encoding="ascii")) for name in SPANS}
        waiting = iter(jobs)
        while batch := list(itertools.islice(waiting, BATCH_JOBS)):
            _write_batch(files, run_id, batch)
    return sum(path.stat().st_size for path in folder.iterdir())


def _write_batch(files: Mapping[str, TextIO], run_id: str, jobs: Sequence[JobRecord]) -> None:
    for number, (process, count) in enumerate(SPANS.items()):
        spans = [span for job in jobs for span in _spans(run_id, job, process, 100 * number, count)]
        files[process].write(_HEAD % process + ",".join(spans) + "]}]}]}\n")


def _spans(run_id: str, job: JobRecord, process: str, first: int, count: int) -> Iterator[str]:
    """Yield the spans of a job in one process, one after another; the id of the root is 1."""
    parent = ',"parentSpanId":"0000000000000001"'
    started, length = int(job.sent * 1e9), int((job.done - job.sent) * 1e9)
    for index in range(count):
        if process == "loadgen" and index == 0:
            root = _ROOT % (run_id, job.scenario, job.case, job.outcome.value)
            yield _SPAN % (job.trace_id, 1, "loadgen.job", started, started + length, root, "")
        else:
            begun = started + length * index // count
            yield _SPAN % (job.trace_id, first + index + 1, "work", begun, begun + length // count, "", parent)
