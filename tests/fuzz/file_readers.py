"""Readers of files that others may have written: runs, scenarios, targets, traces, rows, catalogues, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from reelbench.loadgen.plan.row_file import RowFileError, is_trace, read_rows
from reelbench.loadgen.plan.scenario_file import FOLDER as SCENARIOS
from reelbench.loadgen.plan.scenario_file import ScenarioError, load_file
from reelbench.loadgen.record.conditions import read_conditions
from reelbench.loadgen.record.jobs import read_calls, read_jobs, read_requests
from reelbench.loadgen.record.processes import read_usage
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import RecordError, to_line
from reelbench.loadgen.record.stack import read_stack
from reelbench.loadgen.record.videos import read_videos
from reelbench.loadgen.target.target_file import FOLDER as TARGETS
from reelbench.loadgen.target.target_file import TargetFileError, load_target_file
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.catalogue.user_slis import load_user_slis
from reelbench.reporting.evidence.file_traces import FileTraces
from reelbench.stack.errors import NotMetricsError
from reelbench.stack.metrics_page import _names
from tests.data_helper import job
from tests.fuzz.reader import Reader

RUN = Path(__file__).parent / "seeds"
"""Files of a small run."""
TRACE = "0af7651916cd43dd8448eb211c80319c"
WORDS_OF_JSON = (
    b"null",
    b"1e999",
    b"-1",
    b'""',
    b"[]",
    b"{}",
    b"\\ud800",
    b"NaN",
    b"9223372036854775808",
    b"\xff",
    b"0.0",
)
WORDS_OF_YAML = (
    b"cases:", b"- name: ", b"model: ", b"rate: ", b"&a ", b"*a", b"!!python/object:", b"!!int ", b"{{{{", b"[[[[",
    b".inf", b".nan", b"1:30", b"060", b"null", b"<<: ", b"? ", b"|\n", b"--- ", b"%YAML 9", b"\xef\xbb\xbf",
)  # fmt: skip


def of_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """Return a function that writes the bytes to a file of this name, and reads it."""

    def from_file(data: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return from_file


def of_run(name: str, read: Callable[[Path], object]) -> Reader:
    """Return the reader of a file of a run folder."""

    def all_of(path: Path) -> object:
        found = read(path.parent)
        return list(found) if isinstance(found, Iterable) else found

    def seeds() -> Sequence[bytes]:
        return [(RUN / name).read_bytes()]

    return Reader(f"run_{name.partition('.')[0]}", of_file(name, all_of), seeds, (RecordError,), WORDS_OF_JSON, 2)


def _traces(path: Path) -> object:
    folder = path.parent / "traces"
    folder.mkdir(exist_ok=True)
    path.replace(folder / "service.jsonl")
    found = FileTraces(folder, processes=1).gather([TRACE])
    return sorted(found.roots or ())


def _trace_seeds() -> Sequence[bytes]:
    return [(RUN / "traces.jsonl").read_bytes()]


@cache
def _yaml(folder: Path) -> Sequence[bytes]:
    paths = sorted(folder.glob("*.yaml"))[:12]
    return [path.read_bytes().replace(f"name: {path.stem}\n".encode(), b"name: trial\n", 1) for path in paths]


def _rows(path: Path) -> object:
    return is_trace(path), read_rows(path, timed=False)


def _arrivals(path: Path) -> object:
    return is_trace(path), read_rows(path, timed=True)


def _slis() -> Sequence[bytes]:
    text = """
version: 1
slis:
  - id: waiting_most
    title: Most waiting requests
    unit: requests
    kind: value
    dimension: performance
    section: server
    scope: case
    query: max(max_over_time(vllm_omni:num_requests_waiting{}[$length] @ $end))
    why: More than five waiting requests break our promise.
    objective: {value: 5.0, direction: at_most}
"""
    return [text.encode()]


def _page(data: bytes, _: Path) -> object:
    return _names(data, "text/plain", "http://127.0.0.1/metrics")


READERS = (
    of_run("run.json", read_run),
    of_run("stack.json", read_stack),
    of_run("conditions.json", read_conditions),
    Reader(
        "run_jobs",
        of_file("jobs.jsonl", lambda path: read_jobs(path.parent)),
        lambda: [to_line(job()) + to_line(job(1))],
        (RecordError,),
        WORDS_OF_JSON,
        2,
    ),
    of_run("requests.jsonl", read_requests),
    of_run("calls.jsonl", read_calls),
    of_run("processes.jsonl", read_usage),
    of_run("videos.jsonl", read_videos),
    Reader("otlp", of_file("service.jsonl", _traces), _trace_seeds, (), (*WORDS_OF_JSON, b'"spans"', TRACE.encode())),
    Reader("scenario", of_file("trial.yaml", load_file), lambda: _yaml(SCENARIOS), (ScenarioError,), WORDS_OF_YAML),
    Reader(
        "target", of_file("trial.yaml", load_target_file), lambda: _yaml(TARGETS), (TargetFileError,), WORDS_OF_YAML
    ),
    Reader("slis", of_file("slis.yaml", load_user_slis), _slis, (CatalogueError,), WORDS_OF_YAML, 2),
    Reader("rows_text", of_file("rows.txt", _rows), lambda: [b"a prompt\nanother one\n"], (RowFileError,), weight=1),
    Reader(
        "rows_json",
        of_file("rows.jsonl", _rows),
        lambda: [b'{"prompt": "a", "seconds": 4, "size": "720x1280"}\n{"prompt": "b"}\n'],
        (RowFileError,),
        WORDS_OF_JSON,
        2,
    ),
    Reader(
        "rows_csv",
        of_file("rows.csv", _arrivals),
        lambda: [b'at,prompt,seconds\n0,"a, b",4\n1.5,c,8\n', b"timestamp,prompt\n2024-01-01T00:00:00Z,x\n"],
        (RowFileError,),
        (b",", b'"', b"\r\n", b"\0", b"nan", b"inf", b"-1", b"1e9", b"prompt", b"at"),
        2,
    ),
    Reader(
        "metrics_page",
        _page,
        lambda: [b'# TYPE a counter\n# HELP a b\na_total{x="y\\n"} 1 123\nb_bucket{le="+Inf"} 2\n'],
        (NotMetricsError,),
        (b"# TYPE ", b"{", b"}", b'="', b"\\", b"NaN", b"+Inf", b"# EOF"),
        2,
    ),
)
