"""A made run directory and its metrics, with known values."""

from __future__ import annotations

import hashlib
import heapq
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import msgspec
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.util.types import AnyValue

from reelbench.loadgen.record.jobs import CallRecord, JobRecord, Outcome, RequestRecord
from reelbench.loadgen.record.run import (
    CaseRecord,
    DocumentRecord,
    EnvironmentRecord,
    RunRecord,
    RunState,
    ScenarioRecord,
    StoreCount,
    write_run,
)
from reelbench.loadgen.record.run_files import to_line

RUN_ID = "made-0001"
START = 1_790_000_000.0
SETTLE = 5.0
WORKERS = 16
STAGES = {"parse": (1, 0.02), "script": (1, 0.15), "speech": (5, 0.12), "visual": (5, 0.20), "compose": (1, 0.06)}
"""Executions and mean seconds of each stage of a job."""
SHORT = {"create": 0.012, "retrieve": 0.004, "list": 0.006, "manifest": 0.005, "content": 0.02, "delete": 0.007}
CASES = (
    ("single_request", "n01", 1, 100),
    ("concurrent_load", "n01", 1, 40),
    ("concurrent_load", "n05", 5, 100),
    ("concurrent_load", "n10", 10, 100),
    ("concurrent_load", "n20", 20, 200),
    ("concurrent_load", "n50", 50, 400),
    ("api_latency", "n02", 2, 40),
    ("component_speed", "n01", 1, 30),
    ("throughput", "n50", 50, 400),
)


def geometric(low: float, high: float, ratio: float) -> list[float]:
    bounds = [low]
    while bounds[-1] * ratio < high:
        bounds.append(float(f"{bounds[-1] * ratio:.5g}"))
    return [*bounds, high]


BOUNDS = sorted({*geometric(0.002, 3, 1.05), 0.5, 2.0, 60.0, 600.0})


@dataclass
class Series:
    """Samples of the run, by metric and labels."""

    run_id: str = RUN_ID
    counters: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=lambda: defaultdict(float))
    observed: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    scraped: list[str] = field(default_factory=list)
    """Lines of a gauge's samples."""

    def scrape(self, name: str, value: float, at: float, **labels: str) -> None:
        text = ",".join(f'{key}="{word}"' for key, word in sorted({**labels, "run_id": self.run_id}.items()))
        self.scraped.append(f"{name}{{{text}}} {value!r} {at}")

    def add(self, name: str, by: float = 1, /, **labels: str) -> None:
        self.counters[name, tuple(sorted({**labels, "run_id": self.run_id}.items()))] += by

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.observed[name, tuple(sorted({**labels, "run_id": self.run_id}.items()))].append(value)

    def openmetrics(self, instants: Iterable[float]) -> str:
        """All series at each instant, starting at zero, so `increase()` would differ from the total."""
        lines: list[str] = []

        def put(name: str, labels: tuple[tuple[str, str], ...], value: float) -> None:
            text = ",".join(f'{key}="{word}"' for key, word in labels)
            lines.extend(f"{name}{{{text}}} {0 if at < 1 else value!r} {at if at >= 1 else START}" for at in instants)

        for (name, labels), value in self.counters.items():
            put(name, labels, value)
        for (name, labels), values in self.observed.items():
            ordered = sorted(values)
            for bound in BOUNDS:
                put(f"{name}_bucket", (*labels, ("le", f"{bound:g}")), float(bisect_right(ordered, bound)))
            put(f"{name}_bucket", (*labels, ("le", "+Inf")), float(len(values)))
            put(f"{name}_sum", labels, sum(values))
            put(f"{name}_count", labels, float(len(values)))
        return "\n".join([*lines, *self.scraped, "# EOF", ""])


@dataclass
class MadeRun:
    run: RunRecord
    jobs: list[JobRecord]
    requests: list[RequestRecord]
    series: Series
    instant: float
    calls: list[CallRecord] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        write_run(folder, self.run)
        (folder / "jobs.jsonl").write_bytes(b"".join(to_line(job) for job in self.jobs))
        (folder / "requests.jsonl").write_bytes(b"".join(to_line(request) for request in self.requests))
        if self.calls:
            (folder / "calls.jsonl").write_bytes(b"".join(to_line(call) for call in self.calls))
        (folder / "stack.json").write_bytes(msgspec.json.encode(self.stack()))
        (folder / "traces").mkdir(exist_ok=True)
        (folder / "traces" / "loadgen.jsonl").write_text(traces(self.jobs, self.run.run_id))
        return folder

    def stack(self) -> dict[str, object]:
        return {
            "schema_version": 1,
            "kind": "embedded",
            "components": [
                {"name": "service", "url": "http://127.0.0.1:1", "version": "0.1.0"},
                {"name": "providers", "url": "http://127.0.0.1:2", "version": "0.1.0"},
                {"name": "loadgen", "url": None, "version": "0.1.0"},
            ],
            "prometheus": {
                "url": "http://127.0.0.1:3",
                "version": "2.42.0",
                "data_dir": "prometheus",
                "scrape_interval": 1.0,
            },
            "settled_at": self.instant,
            "settled": True,
        }


def trace_of(scenario: str, case: str, index: int) -> str:
    """The trace id of a job."""
    return hashlib.sha256(f"{scenario}/{case}/{index}".encode()).hexdigest()[:32]


class _Ids(RandomIdGenerator):
    """Generates the trace ids of the jobs, in their order."""

    def __init__(self, jobs: list[JobRecord]) -> None:
        self._ids = iter([int(job.trace_id, 16) for job in jobs])

    def generate_trace_id(self) -> int:
        return next(self._ids)


def traces(jobs: list[JobRecord], run_id: str) -> str:
    """The load generator's trace stream, written by the official exporter."""
    stream = StringIO()
    provider = TracerProvider(resource=Resource({"service.name": "loadgen"}), id_generator=_Ids(jobs))
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(stream=stream)))
    tracer = provider.get_tracer("loadgen")
    for job in jobs:
        attributes: dict[str, AnyValue] = {
            "run_id": run_id,
            "scenario": job.scenario,
            "case": job.case,
            "loadgen.job.warmup": job.warmup,
            "loadgen.job.index": job.index,
            "loadgen.job.outcome": job.outcome.value,
        }
        root = tracer.start_span("loadgen.job", attributes=attributes, start_time=int(job.due * 1e9))
        root.end(end_time=int(job.done * 1e9))
    provider.shutdown()
    return stream.getvalue()


def make(*, profile: str = "standard", seed: int = 1) -> MadeRun:
    rng = random.Random(seed)
    series = Series()
    jobs: list[JobRecord] = []
    requests: list[RequestRecord] = []
    scenarios: dict[str, ScenarioRecord] = {}
    now = START + 1
    for name, case, slots, count in CASES:
        rows, now_after = _case(rng, series, requests, (name, case, slots, count), now)
        jobs += rows
        record = CaseRecord(
            name=case,
            model="closed",
            concurrency=slots,
            planned=count,
            warmup=2,
            started=min(job.due for job in rows if not job.warmup),
            ended=now_after,
            generator_cpu=0.05 + slots / 100,
            loop_lag_p99=0.001,
        )
        old = scenarios.get(name)
        scenarios[name] = ScenarioRecord(
            name=name,
            dimension="performance",
            title=name.replace("_", " "),
            why="why",
            steps=["create", "wait", "content"]
            if name != "api_latency"
            else ["create", "retrieve", "list", "wait", "manifest", "content", "delete"],
            state=RunState.COMPLETED,
            started=old.started if old else now,
            ended=now_after,
            cases=[*(old.cases if old else []), record],
            objectives={},
            store=None,
        )
        now = now_after + 1
    stored = {
        name: sum(1 for j in jobs if j.scenario == name and j.accepted is not None and not j.deleted)
        for name in scenarios
    }
    run = RunRecord(
        schema_version=1,
        run_id=RUN_ID,
        profile=profile,
        seed=seed,
        plan_hash="p" * 64,
        target="http://127.0.0.1:1",
        state=RunState.COMPLETED,
        started=START,
        ended=now,
        document=DocumentRecord(name="paper.pdf", sha256="d" * 64, bytes=123456),
        environment=EnvironmentRecord(
            cpu_model="Made CPU",
            cpu_count=2,
            memory_bytes=8 * 2**30,
            os="Linux 6",
            python="3.11.7",
            packages={"aiohttp": "3.13", "uvloop": "0.22"},
            commit="c" * 40,
            dirty=True,
            lock_sha256="l" * 64,
        ),
        scenarios=[
            msgspec.structs.replace(
                s,
                store=StoreCount(
                    expected=stored[s.name], found=stored[s.name], by_status={"completed": stored[s.name]}, error=None
                ),
            )
            for s in scenarios.values()
        ],
        faults=[],
    )
    return MadeRun(run, jobs, requests, series, now + SETTLE)


def _case(
    rng: random.Random,
    series: Series,
    requests: list[RequestRecord],
    planned: tuple[str, str, int, int],
    now: float,
) -> tuple[list[JobRecord], float]:
    """A closed loop of `slots` virtual users and `WORKERS` workers; four of 400 jobs fail at 50 in flight."""
    scenario, case, slots, count = planned
    rows: list[JobRecord] = []
    free = [now] * slots
    workers = [now] * WORKERS
    for index in range(count + 2):
        warmup = index < 2
        label = f"{case}.warmup" if warmup else case
        if index == 2:
            now = max(job.done for job in rows)  # measured jobs begin when the warm-up has ended
            free = [now] * slots
        due = heapq.heappop(free)
        sent = due + rng.uniform(0.0002, 0.002)
        begun = max(sent + 0.012, heapq.heappop(workers))
        work = rng.lognormvariate(-0.6, 0.25)
        heapq.heappush(workers, begun + work)
        done = begun + work + 0.02
        heapq.heappush(free, done)
        failed = slots == 50 and index % 100 == 50
        outcome = Outcome.FAILED if failed else Outcome.COMPLETED
        deleted = scenario == "api_latency"
        rows.append(
            JobRecord(
                scenario=scenario,
                case=case,
                index=index,
                warmup=warmup,
                due=due,
                sent=sent,
                accepted=sent + 0.012,
                done=done,
                outcome=outcome,
                job_id=f"{scenario}-{case}-{index}",
                trace_id=trace_of(scenario, case, index),
                bytes=0 if failed else 5000,
                deleted=deleted,
                integrity=None if failed else "ok",
                error="scene failed" if failed else None,
            )
        )
        place = {"scenario": scenario, "case": label}
        # every tenth video is partial, which the client counts as completed
        word = "failed" if failed else "partial" if index % 10 == 0 else "completed"
        series.add("video_jobs_total", outcome=word, job="service", **place)
        series.observe("video_job_queue_duration_seconds", begun - sent - 0.012, job="service", **place)
        for stage, (executions, mean) in STAGES.items():
            for _ in range(executions):
                value = mean * rng.uniform(0.7, 1.3)
                series.observe(
                    "video_job_stage_duration_seconds", value, stage=stage, outcome="ok", job="service", **place
                )
        names = SHORT if scenario == "api_latency" else ("create", "content")
        durations = {name: SHORT[name] * rng.lognormvariate(0, 0.3) for name in names} | {"wait": done - sent - 0.03}
        for operation, duration in durations.items():
            requests.append(
                RequestRecord(
                    scenario=scenario,
                    case=case,
                    index=index,
                    warmup=warmup,
                    operation=operation,
                    sent=sent,
                    duration=duration,
                    status=200,
                    bytes=100,
                )
            )
            if not warmup:
                series.observe(
                    "loadgen_request_duration_seconds",
                    duration,
                    operation=operation,
                    outcome="ok",
                    job="loadgen",
                    **place,
                )
        if not warmup:
            series.add("loadgen_jobs_total", outcome=outcome, job="loadgen", **place)
            series.observe("loadgen_job_duration_seconds", done - due, outcome=outcome, job="loadgen", **place)
            series.observe("loadgen_job_lateness_seconds", sent - due, job="loadgen", **place)
    return rows, max(job.done for job in rows)
