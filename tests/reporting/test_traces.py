from __future__ import annotations

import io
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from reelbench.reporting.evidence import otlp
from reelbench.reporting.evidence.file_traces import FileTraces
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.evidence.reading_process import read_ahead
from reelbench.reporting.evidence.trace_parts import Part, read, split
from reelbench.reporting.evidence.traces import RootKey, TraceSpan, in_order, marks_in, trace_span
from tests.reporting.made_run import RUN_ID, trace_of
from tests.reporting.made_traces import RECORDED, recorded


def test_root_spans_by_case_and_outcome(run_dir: Path) -> None:
    counts = FileTraces(run_dir / "traces").root_spans()
    assert counts is not None
    assert counts[RootKey(RUN_ID, "single_request", "n01", "completed")] == 100
    assert counts[RootKey(RUN_ID, "single_request", "n01", "completed", warmup=True)] == 2
    assert counts[RootKey(RUN_ID, "throughput", "n50", "failed")] == 4
    assert counts.total() == 1410 + 18


def test_one_pass_counts_all_roots_and_keeps_the_wanted_traces(run_dir: Path) -> None:
    wanted = {trace_of("throughput", "n50", 50), trace_of("single_request", "n01", 1), "f" * 32}
    gathered = FileTraces(run_dir / "traces").gather(wanted)
    assert gathered.roots is not None
    assert gathered.roots.total() == 1410 + 18
    assert set(gathered.spans) == wanted - {"f" * 32}
    assert [(span.name, span.parent_id) for span in gathered.spans[trace_of("throughput", "n50", 50)]] == [
        ("loadgen.job", "")
    ]
    assert gathered.absent == ""


class CountingFile(io.FileIO):
    """A file that notes the position and the length of each read."""

    reads: ClassVar[list[tuple[str, int, int]]] = []

    def readinto(self, buffer: Any) -> int:
        at = self.tell()
        length = super().readinto(buffer)
        self.reads.append((str(self.name), at, length))
        return length


def test_each_byte_of_the_files_is_read_once(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountingFile, "reads", [])
    wanted = {trace_of("throughput", "n50", 50), trace_of("single_request", "n01", 1)}
    with monkeypatch.context() as patched:
        patched.setattr(
            Path, "open", lambda path, mode, buffering: io.BufferedReader(CountingFile(str(path), "r"), buffering)
        )
        gathered = FileTraces(run_dir / "traces").gather(wanted)
    assert (gathered.roots.total(), set(gathered.spans)) == (1410 + 18, wanted)
    for path in (run_dir / "traces").iterdir():
        reads = [(at, length) for name, at, length in CountingFile.reads if name == str(path)]
        assert sum(length for _, length in reads) == path.stat().st_size
        assert [at for at, _ in reads] == sorted(at for at, _ in reads)


@pytest.mark.parametrize("least", [1, 1000, 4096, 100_000])
def test_parts_of_any_size_hold_each_line_once(least: int) -> None:
    files = sorted((RECORDED / "traces").glob("*.jsonl"))
    sizes = [(str(path), path.stat().st_size) for path in files]
    job, _ = recorded("tts_failures")
    whole = read([Part(path, 0, size) for path, size in sizes], {job.trace_id})
    shares = [read(parts, {job.trace_id}) for parts in split(sizes, 500, least)]
    assert len(shares) == max(1, min(500, sum(size for _, size in sizes) // least))
    spans = [span for share in shares for span in share.spans.get(job.trace_id, ())]
    assert sorted(spans) == sorted(whole.spans[job.trace_id])
    assert sum((Counter(dict(share.roots)) for share in shares), Counter()) == Counter(dict(whole.roots))
    assert sum(share.damaged for share in shares) == 0


@pytest.mark.extended
def test_reading_processes_find_the_same(run_dir: Path) -> None:
    wanted = {trace_of("throughput", "n50", 50), trace_of("single_request", "n01", 1)}
    alone = FileTraces(run_dir / "traces", processes=1, part_bytes=1).gather(wanted)
    together = FileTraces(run_dir / "traces", processes=3, part_bytes=1).gather(wanted)
    assert together == alone
    assert alone.roots.total() == 1410 + 18


def test_a_reading_process_that_dies_is_an_error(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(QueryError, match=r"^a process that read the files of traces ended with code 1; export again$"):
        FileTraces(run_dir / "traces", processes=2, part_bytes=1).gather(())


def test_a_root_span_with_a_damaged_attribute_is_left_out(run_dir: Path) -> None:
    path = run_dir / "traces" / "loadgen.jsonl"
    trace = trace_of("throughput", "n50", 50)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(re.sub(r'"key": ?"run_id"', '"key":7', x) if trace in x else x for x in lines))
    gathered = FileTraces(run_dir / "traces").gather({trace})
    assert (gathered.roots.total(), dict(gathered.spans), gathered.damaged) == (1410 + 18 - 1, {}, 1)


def test_failures_attempts_and_scenes_are_read() -> None:
    _, trace = recorded("tts_failures")
    calls = [span for span in trace if span.name == "text_to_speech gpt-4o-mini-tts" and span.attempt > 1]
    assert [(span.attempt, span.error) for span in calls] == [
        (2, "The tts provider answered with status 503."),
        (3, ""),
    ]
    stages = {span.span_id: span for span in trace}
    assert {stages[call.parent_id].scene for call in calls} == {"2"}
    assert [span.error for span in trace if span.service == "providers" and span.error] == ["503", "503"]


def test_duplicate_batches_count_once_in_a_trace() -> None:
    one, other = TraceSpan(1, 2, "s", "n", "a", ""), TraceSpan(0, 3, "s", "n", "b", "")
    assert in_order([one, other, one]) == (other, one)


@pytest.mark.parametrize("time", ["soon", "", "9" * 400])
def test_a_span_without_valid_times_is_left_out(run_dir: Path, time: str) -> None:
    path = run_dir / "traces" / "loadgen.jsonl"
    trace = trace_of("throughput", "n50", 50)
    lines = path.read_text().splitlines(keepends=True)
    spoilt = [re.sub(r'("endTimeUnixNano": ?)"\d+"', rf'\1"{time}"', line) if trace in line else line for line in lines]
    path.write_text("".join(spoilt))
    gathered = FileTraces(run_dir / "traces").gather({trace})
    assert gathered.roots is not None
    assert (gathered.roots.total(), dict(gathered.spans), gathered.damaged) == (1410 + 18, {}, 1)


def test_an_unfinished_last_line_is_left_out(run_dir: Path) -> None:
    path = run_dir / "traces" / "loadgen.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-60])
    gathered = FileTraces(run_dir / "traces").gather(())
    assert gathered.roots is not None
    assert (gathered.roots.total(), gathered.damaged, gathered.cut_off) == (1410 + 18 - 1, 0, 1)


def test_missing_traces_are_not_zero_spans(tmp_path: Path) -> None:
    assert FileTraces(tmp_path / "traces").root_spans() is None
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "loadgen.jsonl").touch()
    counts = FileTraces(tmp_path / "traces").root_spans()
    assert counts is not None
    assert counts.total() == 0


def test_spans_of_a_trace_are_collected_from_several_files(tmp_path: Path) -> None:
    ids = []
    parent = None
    for service in ("loadgen", "service"):
        provider = TracerProvider(resource=Resource({"service.name": service}))
        provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(tmp_path / f"{service}.jsonl")))
        tracer = provider.get_tracer("t")
        tracer.start_span("another trace").end()
        with tracer.start_as_current_span(f"work of {service}", context=parent) as span:
            ids.append(f"{span.get_span_context().trace_id:032x}")
            with tracer.start_as_current_span("inner"):
                pass
        provider.shutdown()
    found = FileTraces(tmp_path).trace(ids[0].upper())
    assert [(span.service, span.name) for span in found] == [("loadgen", "work of loadgen"), ("loadgen", "inner")]
    assert found[1].parent_id == found[0].span_id
    assert found[0].started <= found[1].started <= found[1].ended <= found[0].ended
    assert FileTraces(tmp_path).trace("0" * 32) == ()


@pytest.mark.parametrize(
    ("attributes", "scene", "attempt"),
    [
        (b'[{"key":"scene","value":{"intValue":"3"}}]', "3", 1),
        (rb'[{"key":"sc\u0065ne","value":{"intValue":"3"}}]', "3", 1),
        (b'[{"key": "http.request.resend_count", "value": {"intValue": 2}}]', "", 3),
        (b'[{"key":"name","value":{"stringValue":"scene"}}]', "", 1),
        (b'[{"key":"name","value":{"stringValue":"scene"}},{"key":"scene","value":{"intValue":"4"}}]', "4", 1),
        (b'[{"key":"scene","value":{"intValue":5}}]', "5", 1),
        (
            (
                b'[{"key":"x","value":{"kvlistValue":{"values":[{"key":"scene","value":{"intValue":"1"}}]}}}'
                b',{"key":"scene","value":{"intValue":"2"}}]'
            ),
            "2",
            1,
        ),
        (b"[]", "", 1),
    ],
)
def test_scene_and_attempt_are_read_however_their_keys_are_written(attributes: bytes, scene: str, attempt: int) -> None:
    span = otlp.Span("b", name="n", started="1000000000", ended="2000000000", attributes=msgspec.Raw(attributes))
    read_span = TraceSpan(1.0, 2.0, "s", "n", "b", "a", scene=scene, attempt=attempt)
    assert trace_span("s", span, "b", "a") == read_span
    assert trace_span("s", span, "b", "a", marks_in(b'{"name":"n","attributes":' + attributes + b"}")) == read_span


@pytest.mark.parametrize("traces", [(), (("throughput", "n50", 50), ("single_request", "n01", 1))])
def test_traces_that_are_read_ahead_are_the_same(run_dir: Path, traces: tuple[tuple[str, str, int], ...]) -> None:
    wanted = {trace_of(*trace) for trace in traces}
    with read_ahead(run_dir / "traces", cores=2) as ahead:
        assert FileTraces(run_dir / "traces", ahead=ahead).gather(wanted) == FileTraces(run_dir / "traces").gather(
            wanted
        )


def test_what_is_malformed_is_counted_for_wanted_traces_alone(run_dir: Path) -> None:
    path = run_dir / "traces" / "loadgen.jsonl"
    trace, other = trace_of("throughput", "n50", 50), trace_of("single_request", "n01", 1)
    path.write_text(re.sub(r'("endTimeUnixNano": ?)"\d+"', r'\1"soon"', path.read_text()) + "not JSON\n")
    for wanted, damaged in (((), 1), ((trace,), 2), ((trace, other), 3)):
        with read_ahead(run_dir / "traces", cores=2) as ahead:
            source = FileTraces(run_dir / "traces", ahead=ahead)
            first = source.gather(wanted)
            assert (first.spans, first.damaged) == ({}, damaged)
            assert source.gather(wanted) == first  # now by this process


def test_where_the_process_that_reads_ahead_has_ended_this_one_reads(run_dir: Path) -> None:
    wanted = {trace_of("throughput", "n50", 50)}
    with read_ahead(run_dir / "traces", cores=2) as ahead:
        assert ahead is not None
        ahead._process.kill()
        gathered = FileTraces(run_dir / "traces", ahead=ahead).gather(wanted)
    assert gathered == FileTraces(run_dir / "traces").gather(wanted)
    assert gathered.roots is not None
    assert gathered.roots.total() == 1410 + 18


def test_a_question_may_be_longer_than_a_pipe_holds(run_dir: Path) -> None:
    wanted = {f"{number:032x}" for number in range(5_000)} | {trace_of("throughput", "n50", 50)}
    with read_ahead(run_dir / "traces", cores=2) as ahead:
        gathered = FileTraces(run_dir / "traces", ahead=ahead).gather(wanted)
    assert set(gathered.spans) == {trace_of("throughput", "n50", 50)}


def test_a_process_that_reads_ahead_ends_with_its_context(run_dir: Path) -> None:
    with read_ahead(run_dir / "traces", cores=2) as ahead:
        assert ahead is not None
        process = ahead._process
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL


def test_nothing_and_large_files_are_not_read_ahead_nor_any_with_one_core(run_dir: Path, tmp_path: Path) -> None:
    bytes_there = sum(path.stat().st_size for path in (run_dir / "traces").glob("*.jsonl"))
    assert read_ahead(tmp_path / "nowhere") is None
    assert read_ahead(run_dir / "traces", most=bytes_there - 1, cores=2) is None
    assert read_ahead(run_dir / "traces", cores=1) is None
    with read_ahead(run_dir / "traces", most=bytes_there, cores=2) as ahead:
        assert ahead is not None
