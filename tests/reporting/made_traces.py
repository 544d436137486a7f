"""Spans from short lines of text, and traces recorded by a run of the quick suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reelbench.loadgen.record.jobs import JobRecord, Outcome, read_jobs
from reelbench.reporting.evidence.file_traces import FileTraces
from reelbench.reporting.evidence.traces import TraceSpan

RECORDED = Path(__file__).parent / "recorded_traces"


def spans(text: str) -> tuple[TraceSpan, ...]:
    """Read one span per line: ``id parent start end service name``, with ``-`` for no parent."""
    found = []
    for line in text.strip().splitlines():
        span_id, parent, started, ended, service, name = line.split(maxsplit=5)
        found.append(TraceSpan(float(started), float(ended), service, name, span_id, parent.replace("-", "")))
    return tuple(sorted(found))


def job(due: float, done: float, trace: str = "t", **fields: Any) -> JobRecord:
    values: dict[str, Any] = {
        "scenario": "concurrent_load",
        "case": "n05",
        "index": 7,
        "warmup": False,
        "due": due,
        "sent": due,
        "accepted": due,
        "done": done,
        "outcome": Outcome.COMPLETED,
        "job_id": "video_1",
        "trace_id": trace,
        "bytes": 1,
        "deleted": False,
        "integrity": None,
        "error": None,
    }
    return JobRecord(**values | fields)


def recorded(scenario: str) -> tuple[JobRecord, tuple[TraceSpan, ...]]:
    """A recorded job of a scenario (throughput: queued; tts_failures: retried; llm_outage: failed) and its trace."""
    found = next(job for job in read_jobs(RECORDED) if job.scenario == scenario)
    return found, FileTraces(RECORDED / "traces").trace(found.trace_id)


def written(trace_id: str, service: str) -> list[tuple[str, int, float]]:
    """Name, scene and seconds of a service's spans of a trace, read without the code under test."""
    found = []
    for line in (RECORDED / "traces" / f"{service}.jsonl").read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    values = {a["key"]: a["value"] for a in span.get("attributes", ())}
                    if span["traceId"] == trace_id:
                        length = (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9
                        found.append((span["name"], int(values.get("scene", {}).get("intValue", -1)), length))
    return found
