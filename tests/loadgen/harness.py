"""Builds the parts of the load generator around a fake target, with telemetry that a test can read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.document import Document
from reelbench.loadgen.drive.job import JobRunner
from reelbench.loadgen.drive.steps import Steps
from reelbench.loadgen.http.trace_headers import JobTrace
from reelbench.loadgen.plan.plan import plan_case
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.record.jobs import JobRecord, RequestRecord
from reelbench.loadgen.target.target import Target

DOCUMENT = Document(name="paper.txt", media_type="text/plain", data=b"A short paper.")


def scenario(**changes: Any) -> Scenario:
    values: dict[str, Any] = {
        "name": "trial",
        "dimension": "performance",
        "title": "Trial",
        "why": "To test.",
        "steps": ["create", "wait", "content"],
        "encoding": "json",
        "video": {"seconds": "4", "size": "720x1280"},
        "time_limit": 60,
        "poll_interval": 0.01,
        "cases": [case()],
        "objectives": {},
    }
    return Scenario.model_validate(values | changes)


def case(name: str = "n01", concurrency: int = 1, iterations: int = 1, warmup: int = 0, **more: Any) -> dict[str, Any]:
    return more | {
        "name": name,
        "model": "closed",
        "concurrency": concurrency,
        "iterations": {"quick": iterations, "standard": iterations, "paper": iterations},
        "warmup": {"quick": warmup, "standard": warmup, "paper": warmup},
    }


def open_case(
    name: str = "open",
    *,
    rate: float = 10.0,
    seconds: int = 1,
    warmup: int = 0,
    arrivals: str = "constant",
    **more: Any,
) -> dict[str, Any]:
    return more | {
        "name": name,
        "model": "open",
        "arrivals": arrivals,
        "rate": rate,
        "seconds": {"quick": seconds, "standard": seconds, "paper": seconds},
        "warmup_seconds": {"quick": warmup, "standard": warmup, "paper": warmup},
    }


@dataclass
class Kept:
    """A sink that keeps all records."""

    jobs: list[JobRecord] = field(default_factory=list)
    requests: list[RequestRecord] = field(default_factory=list)
    started: int = 0

    def job_started(self) -> None:
        self.started += 1

    def job_ended(self, job: JobRecord, trace: JobTrace) -> None:
        self.jobs.append(job)

    def request_ended(self, request: RequestRecord, trace: JobTrace) -> None:
        self.requests.append(request)


class Telemetry:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.traces.get_tracer("loadgen")
        self.reader = InMemoryMetricReader()
        self.meter = MeterProvider([self.reader]).get_meter("loadgen")

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@dataclass
class Bench:
    clock: Clock
    telemetry: Telemetry
    target: Target
    kept: Kept
    jobs: JobRunner

    async def run(self, spec: Scenario, index: int = 0) -> JobRecord:
        planned = plan_case(spec, spec.cases[0], "quick", 1)[index]
        return await self.jobs.run(planned, spec, self.clock.now())


@asynccontextmanager
async def bench(
    url: str,
    document: Document | None = DOCUMENT,
    references: Mapping[str, Document] = MappingProxyType({}),
    *,
    growing_polls: bool = False,
    **about: Any,
) -> AsyncIterator[Bench]:
    """Yield the parts; `about` has further arguments of the target, such as its file."""
    clock, telemetry, kept = Clock.start(), Telemetry(), Kept()
    async with Target(url, connections=64, clock=clock, **about) as target:
        jobs = JobRunner(
            run_id="run-1",
            steps=Steps("run-1", document, target, clock, references, growing_polls=growing_polls),
            clock=clock,
            tracer=telemetry.tracer,
            sink=kept,
        )
        yield Bench(clock, telemetry, target, kept, jobs)
