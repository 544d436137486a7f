"""The spans of a job as text: equal to those that are made by the API, byte for byte."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import get_current_span

from reelbench.loadgen.http.job_spans import JobSpans
from reelbench.loadgen.http.trace_headers import JobTrace, SpanTrace
from reelbench.loadgen.record.jobs import Outcome
from reelbench.telemetry.span_encoder import SpanEncoder
from reelbench.telemetry.span_text import RenderedSpans
from reelbench.telemetry.tracer import RecordingTracer, RecordingTracerProvider
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import Bench, bench, scenario
from tests.reelbench.twins import Ids, Kept

RESOURCE = Resource({"service.name": "loadgen"}, "https://schema")
HOST = "http://127.0.0.1:8000"

Request = tuple[str, str, str, int | None, str | None]
"""Method, route, path, status, error."""

TEXTS = st.text(st.characters(exclude_categories=()), max_size=9) | st.sampled_from(
    ['a "b"', "%s 100%", "\\", "\ud83d"]
)
REQUESTS = st.tuples(TEXTS, TEXTS, TEXTS, st.none() | st.integers(0, 599), st.none() | TEXTS)


def provider(kept: Kept | None = None) -> tuple[RecordingTracer, list[RenderedSpans]]:
    """Return a tracer whose ids and times count up, and the rendered spans that it receives."""
    clock, rendered = itertools.count(1_700_000_000_000_000_000), list[RenderedSpans]()
    made = RecordingTracerProvider(
        RESOURCE, [kept or Kept()], ids=Ids(), now=lambda: next(clock), add_rendered=rendered.append
    )
    return made.get_tracer("loadgen"), rendered


def both(
    place: tuple[str, str, str, bool],
    index: int,
    play: Callable[[JobTrace], Any],
    end: tuple[str, str | None, str | None],
) -> list[dict[str, Any]]:
    """Return the spans of a job, after a check that both implementations write the same line."""
    run_id, scenario, case, warmup = place
    outcome, video_id, error = end
    well = outcome == "completed"
    kept = Kept()
    tracer, _ = provider(kept)
    named = {"run_id": run_id, "scenario": scenario, "case": case}
    by_api = SpanTrace(tracer, {**named, "loadgen.job.index": index, "loadgen.job.warmup": warmup})
    played = play(by_api)
    by_api.end(outcome, video_id, error, well=well)

    tracer, rendered = provider()
    assert tracer.sink is not None
    numbers = itertools.chain([(1 << 64) + 2], itertools.count(3))  # the ids 1 and 2 of trace and root at once
    ours = JobSpans(tracer.sink, place, index, lambda _: next(numbers))
    assert play(ours) == played
    ours.end(outcome, video_id, error, well=well)
    assert (ours.trace_id, ours.polled) == (by_api.trace_id, by_api.polled)
    contexts = [get_current_span(trace.context).get_span_context() for trace in (ours, by_api)]
    assert contexts[0] == contexts[1]
    assert len(ours) == len(kept.spans)
    line = SpanEncoder().encode(rendered)
    assert line == SpanEncoder().encode(kept.spans)
    found: list[dict[str, Any]] = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


@settings(deadline=None)
@given(
    place=st.tuples(TEXTS, TEXTS, TEXTS, st.booleans()),
    index=st.integers(0, 10**6),
    requests=st.lists(REQUESTS, max_size=3),
    end=st.tuples(st.sampled_from(["completed", "cancelled", "failed"]), st.none() | TEXTS, st.none() | TEXTS),
)
def test_a_job_has_the_spans_that_the_api_makes(
    place: tuple[str, str, str, bool],
    index: int,
    requests: list[Request],
    end: tuple[str, str | None, str | None],
) -> None:
    def play(trace: JobTrace) -> list[str]:
        headers = []
        for method, route, path, status, error in requests:
            header, span = trace.request(method, route, HOST, path)
            assert span is not None
            span.end(status, error)
            headers.append(header)
        return headers

    assert len(both(place, index, play, end)) == len(requests) + 1


def test_the_fields_of_a_job_with_a_failed_request() -> None:
    def play(trace: JobTrace) -> str:
        header, span = trace.request("GET", "/v1/videos/{video_id}", HOST, "/v1/videos/v?a=1")
        assert span is not None
        span.end(503, 'said "no"')
        return header

    request, root = both(("run", "s", "c", True), 10, play, ("failed", "v", "half \ud83d"))
    assert request["parentSpanId"] == root["spanId"] == f"{2:016x}"
    assert (request["name"], request["kind"]) == ("GET /v1/videos/{video_id}", 3)
    assert request["status"] == {"code": 2, "message": 'said "no"'}
    assert attributes(request) == {
        "http.request.method": "GET",
        "url.full": f"{HOST}/v1/videos/v",
        "url.template": "/v1/videos/{video_id}",
        "http.response.status_code": "503",
        "error.type": "503",
    }
    assert root["status"] == {"code": 2, "message": "half \ud83d"}
    assert attributes(root) == {
        "run_id": "run",
        "scenario": "s",
        "case": "c",
        "loadgen.job.index": "10",
        "loadgen.job.warmup": True,
        "loadgen.job.outcome": "failed",
        "video.id": "v",
    }


def test_a_request_that_did_not_end_has_no_span() -> None:
    tracer, rendered = provider()
    assert tracer.sink is not None
    trace = JobSpans(tracer.sink, ("r", "s", "c", False), 0)
    trace.request("GET", "/v1", HOST, "/v1")
    trace.end("aborted", None, None, well=False)
    (root,) = json.loads(SpanEncoder().encode(rendered))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (root["name"], root["status"]) == ("loadgen.job", {"code": 2})


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def rendering(b: Bench) -> tuple[Bench, list[RenderedSpans]]:
    tracer, rendered = provider()
    return replace(b, jobs=replace(b.jobs, tracer=tracer)), rendered


async def test_the_runner_hands_the_spans_of_a_job_over_together() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url) as plain:
        b, rendered = rendering(plain)
        job = await b.run(scenario(steps=["create", "wait", "content"]))
    (one,) = rendered
    assert len(one) == 3
    spans = json.loads(SpanEncoder().encode(rendered))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == ["POST /v1/videos", "GET /v1/videos/{video_id}/content", "loadgen.job"]
    assert {span["traceId"] for span in spans} == {job.trace_id}
    sampled = {seen.traceparent.split("-")[2] for seen in fake.log if seen.traceparent.endswith("-03")}
    assert sampled == {span["spanId"] for span in spans[:2]}


async def test_a_cancelled_job_hands_its_spans_over() -> None:
    async with serving(FakeTarget(seconds=9)) as fake, bench(fake.url) as plain:
        b, rendered = rendering(plain)
        task = asyncio.create_task(b.run(scenario()))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    spans = json.loads(SpanEncoder().encode(rendered))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == ["POST /v1/videos", "loadgen.job"]
    assert spans[1]["status"] == {"code": 2, "message": "the run was stopped"}
    assert attributes(spans[1])["loadgen.job.outcome"] == Outcome.ABORTED.value
