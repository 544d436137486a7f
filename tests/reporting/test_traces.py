from __future__ import annotations

from pathlib import Path

from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from reporting.traces import FileTraces, RootKey
from tests.reporting.made_run import RUN_ID


def test_root_spans_by_case_and_outcome(run_dir: Path) -> None:
    counts = FileTraces(run_dir / "traces").root_spans()
    assert counts is not None
    assert counts[RootKey(RUN_ID, "single_request", "n01", "completed")] == 100
    assert counts[RootKey(RUN_ID, "single_request", "n01", "completed", warmup=True)] == 2
    assert counts[RootKey(RUN_ID, "throughput", "n50", "failed")] == 4
    assert counts.total() == 1410 + 18


def test_an_unfinished_last_line_is_left_out(run_dir: Path) -> None:
    path = run_dir / "traces" / "loadgen.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-60])
    traces = FileTraces(run_dir / "traces")
    counts = traces.root_spans()
    assert counts is not None
    assert (counts.total(), traces.damaged) == (1410 + 18 - 1, 1)


def test_no_traces_is_not_zero_spans(tmp_path: Path) -> None:
    assert FileTraces(tmp_path / "traces").root_spans() is None
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "loadgen.jsonl").touch()
    counts = FileTraces(tmp_path / "traces").root_spans()
    assert counts is not None
    assert counts.total() == 0


def test_the_spans_of_one_trace_over_files(tmp_path: Path) -> None:
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
