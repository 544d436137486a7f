"""The cost of spans: CPU time to start and end one, and to encode it, by this package and by OpenTelemetry's packages.

The spans are those of one job, as its three processes record them: the same names, attributes and calls. All variants
run in this process, round by round in a seeded order, so their ratios hold on any machine.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time
from typing import IO, Any, cast

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans as official_json
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as protobuf
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NoOpTracer, SpanKind, Tracer, set_span_in_context
from opentelemetry.util.types import AnyValue

from reelbench.bench.ratio import ratio
from reelbench.telemetry.span_encoder import SpanEncoder
from reelbench.telemetry.tracer import RecordingTracerProvider

BATCH = 512
SPANS = 42
"""Spans of one job."""
_RUN: Mapping[str, AnyValue] = {"run_id": "20260101-120000-abcd", "scenario": "single_job", "case": "n01"}
_SERVER: Mapping[str, AnyValue] = {
    "url.scheme": "http",
    "server.address": "127.0.0.1:8000",
    "server.port": 8000,
    "network.protocol.version": "1.1",
    "http.request.method": "POST",
    "user_agent.original": "reelbench",
    "client.address": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do one part of the work."""

    part: str
    name: str
    run: Callable[[], int]
    """Does the work and returns the number of spans."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time per span of one variant, round by round."""

    variant: Variant
    microseconds: tuple[float, ...]


def record_job(tracer: Tracer, draw: random.Random) -> None:
    """Record the spans of one job with five scenes: load generator, service and providers."""
    video = f"video_{draw.getrandbits(128):032x}"
    root = tracer.start_span("loadgen.job", Context(), attributes={**_RUN, "loadgen.job.index": draw.randrange(1000)})
    in_job = set_span_in_context(root, Context())
    for method, route in (("POST", "/v1/videos"), ("GET", "/v1/videos/{video_id}/content")):
        url = f"http://127.0.0.1:8000{route.replace('{video_id}', video)}"
        request = {"http.request.method": method, "url.full": url, "url.template": route}
        span = tracer.start_span(f"{method} {route}", in_job, SpanKind.CLIENT, request)
        _serve(tracer, f"{method} {route}", route, draw)
        span.set_attribute("http.response.status_code", 200)
        span.end()
    job = tracer.start_span("video.job", in_job, attributes={"video.id": video, **_RUN})
    tracer.start_span("video.job.queue", set_span_in_context(job), attributes=_RUN).end()
    _stage(tracer, "parse", {})
    _stage(tracer, "script", {}, ("chat", "gpt-4o-mini"), draw)
    for scene in range(5):
        _stage(tracer, "speech", {"scene": scene}, ("text_to_speech", "gpt-4o-mini-tts"), draw)
        _stage(tracer, "visual", {"scene": scene}, ("image_generation", "gpt-image-1"), draw)
    _stage(tracer, "compose", {})
    for span, outcome in ((job, "video.job.outcome"), (root, "loadgen.job.outcome")):
        span.set_attribute(outcome, "completed")
        span.end()


def _stage(
    tracer: Tracer,
    stage: str,
    scene: Mapping[str, int],
    call: tuple[str, str] | None = None,
    draw: random.Random | None = None,
) -> None:
    with tracer.start_as_current_span(f"video.job.stage {stage}", attributes={"stage": stage, **_RUN, **scene}) as span:
        if call is None or draw is None:
            return
        span.set_attribute("cache.result", "miss")
        operation, model = call
        request: Mapping[str, AnyValue] = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": model,
            "server.port": 9000,
        }
        with tracer.start_as_current_span(f"{operation} {model}", kind=SpanKind.CLIENT, attributes=request) as attempt:
            attempt.set_attribute("gen_ai.usage.input_tokens", draw.randrange(4000))
            _serve(tracer, f"POST /v1/{operation}", f"/v1/{operation}", draw)


def _serve(tracer: Tracer, name: str, route: str, draw: random.Random) -> None:
    """Record a server span as the instrumentation of ASGI does: each attribute is set a second time."""
    attributes = {**_SERVER, "url.path": route, "client.port": draw.randrange(40_000, 41_000), "http.route": route}
    span = tracer.start_span(name, kind=SpanKind.SERVER, attributes=attributes)
    for key, value in attributes.items():
        span.set_attribute(key, value)
    span.set_attribute("http.response.status_code", 200)
    span.end()


class _Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def on_end(self, span: Any) -> None:
        self.spans.append(span)


def variants(jobs: int, seed: int) -> list[Variant]:
    """Return all variants; the first of each part is the reference of its ratios."""
    resource = Resource({"service.name": "bench", "service.instance.id": "1", "service.version": "0"})
    by_sdk, by_us = _Kept(), _Kept()
    sdk, ours = TracerProvider(resource=resource, shutdown_on_exit=False), RecordingTracerProvider(resource, [by_us])
    sdk.add_span_processor(by_sdk)
    encoder = SpanEncoder()

    def record(tracer: Tracer, kept: _Kept) -> Callable[[], int]:
        def run() -> int:
            kept.spans.clear()
            draw = random.Random(seed)
            for _ in range(jobs):
                record_job(tracer, draw)
            return jobs * SPANS

        return run

    def encode(kept: _Kept, encoded: Callable[[Sequence[Any]], object]) -> Callable[[], int]:
        def run() -> int:
            for start in range(0, len(kept.spans), BATCH):
                encoded(kept.spans[start : start + BATCH])
            return len(kept.spans)

        return run

    file = FileSpanExporter(stream=cast("IO[str]", _Nowhere()))
    found = [
        Variant("start and end", "OpenTelemetry SDK", record(sdk.get_tracer("bench"), by_sdk)),
        Variant("start and end", "no tracer, the calls alone", record(NoOpTracer(), _Kept())),
        Variant("start and end", "Reelbench", record(ours.get_tracer("bench"), by_us)),
        Variant("encode", "official JSON, as a file", encode(by_sdk, file.export)),
        Variant("encode", "official JSON, messages alone", encode(by_sdk, official_json)),
        Variant("encode", "protobuf", encode(by_sdk, lambda spans: protobuf(spans).SerializeToString())),
        Variant("encode", "Reelbench, spans of the SDK", encode(by_sdk, encoder.encode)),
        Variant("encode", "Reelbench", encode(by_us, encoder.encode)),
    ]
    for variant in found:  # fills what the encoders read
        variant.run()
    return found


def run(rounds: int, jobs: int, seed: int) -> list[Cost]:
    """Measure all variants, round by round."""
    draw, found = random.Random(seed), variants(jobs, seed)
    costs: dict[str, list[float]] = {_key(variant): [] for variant in found}
    for _ in range(rounds):
        for variant in draw.sample(found, len(found)):
            gc.collect()
            start = process_time()
            spans = variant.run()
            costs[_key(variant)].append((process_time() - start) / spans * 1e6)
    return [Cost(variant, tuple(costs[_key(variant)])) for variant in found]


def lines(costs: Sequence[Cost]) -> list[str]:
    """Return the result as lines of text: the median of each variant, and its ratio to the first of its part."""
    found = [f"CPU per span in us, median of {len(costs[0].microseconds)} rounds; ratio to the first line of each part"]
    reference = costs[0]
    for cost in costs:
        if cost.variant.part != reference.variant.part:
            reference = cost
        compared = "" if cost is reference else str(ratio(cost.microseconds, reference.microseconds))
        name = f"{cost.variant.part}, {cost.variant.name}"
        found.append(f"{name:<40}{median(cost.microseconds):8.1f}  {compared}".rstrip())
    return found


def _key(variant: Variant) -> str:
    return f"{variant.part}, {variant.name}"


class _Nowhere:
    """A stream that discards what is written."""

    closed = False

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Do nothing."""
