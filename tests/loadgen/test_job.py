from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.trace import SpanKind, StatusCode

from reelbench.loadgen.record.jobs import Outcome
from tests.loadgen.fake_target import CONTENT, FakeTarget, error, serving
from tests.loadgen.harness import DOCUMENT, bench, scenario

ALL_STEPS = ["create", "retrieve", "list", "wait", "manifest", "content", "delete"]


def answering(*responses: Any, then: Any = None) -> Any:
    """Return a fault that answers with each of the responses once, then with ``then``."""
    rest = list(responses)

    async def fault(request: web.Request) -> web.StreamResponse | None:
        make = rest.pop(0) if rest else then
        return make() if make else None

    return fault


async def reset(request: web.Request) -> web.StreamResponse | None:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse | None:
    response = web.StreamResponse(headers={"Content-Length": "5000", "Content-Type": "video/mp4"})
    await response.prepare(request)
    await response.write(b"v" * 1000)
    await reset(request)
    return response


async def slow(request: web.Request) -> web.StreamResponse | None:
    await asyncio.sleep(0.8)
    return None


def text(body: str, status: int = 200, content_type: str = "text/html") -> Any:
    return lambda: web.Response(text=body, status=status, content_type=content_type)


def refuse(status: int, message: str = "no") -> Any:
    return lambda: error(status, message)


async def test_a_job_records_what_the_target_saw() -> None:
    async with serving(FakeTarget(seconds=0.1)) as fake, bench(fake.url) as b:
        job = await b.run(scenario(steps=ALL_STEPS, encoding="multipart"))
    assert job.outcome is Outcome.COMPLETED
    assert (job.job_id, job.bytes, job.deleted, job.integrity, job.error) == (
        "video_0000",
        len(CONTENT),
        True,
        "ok",
        None,
    )
    assert b.kept.jobs == [job]
    assert [request.operation for request in b.kept.requests] == ALL_STEPS == [seen.operation for seen in fake.log]
    assert [request.status for request in b.kept.requests] == [seen.status for seen in fake.log] == [200] * 7
    assert fake.uploads[0]["file"] == (DOCUMENT.name, "text/plain", DOCUMENT.data)
    assert (fake.uploads[0]["seconds"], fake.uploads[0]["size"]) == ("4", "720x1280")
    assert fake.videos == {}


async def test_json_sends_only_the_prompt() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        await b.run(scenario())
    assert sorted(fake.uploads[0]) == ["prompt", "seconds", "size"]


async def test_response_time_ends_with_the_content_and_not_with_the_cleanup() -> None:
    fake = FakeTarget(faults={"delete": slow})
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario(steps=["create", "wait", "content", "delete"]))
    requests = {request.operation: request for request in b.kept.requests}
    content = requests["content"]
    assert job.deleted
    assert content.sent + content.duration <= job.done <= requests["delete"].sent
    assert requests["delete"].duration >= 0.8


async def test_without_content_response_time_ends_with_wait() -> None:
    fake = FakeTarget(faults={"manifest": slow})
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario(steps=["create", "wait", "manifest"]))
    requests = {request.operation: request for request in b.kept.requests}
    assert job.outcome is Outcome.COMPLETED
    assert job.done <= requests["manifest"].sent
    assert job.integrity is None


LATE = "not finished after 0.3 s"


@pytest.mark.parametrize(
    ("changes", "outcome", "message"),
    [
        ({"failing": lambda _: True}, Outcome.FAILED, "render failed"),
        (
            {"faults": {"create": answering(then=refuse(429, "queue is full"))}},
            Outcome.REJECTED,
            "HTTP 429: queue is full",
        ),
        ({"faults": {"create": answering(then=refuse(400, "bad"))}}, Outcome.REJECTED, "HTTP 400: bad"),
        ({"faults": {"create": answering(then=text("busy", 503))}}, Outcome.REJECTED, "HTTP 503"),
        ({"faults": {"create": answering(then=refuse(500, "a\nb"))}}, Outcome.ERROR, "HTTP 500: a b"),
        ({"faults": {"create": answering(then=text("", 302))}}, Outcome.ERROR, "HTTP 302"),
        ({"faults": {"create": answering(then=text("<html>"))}}, Outcome.ERROR, "HTTP 200, but no Video object: "),
        ({"faults": {"create": answering(then=text('{"x": 1}'))}}, Outcome.ERROR, "HTTP 200, but no Video object: "),
        ({"faults": {"create": answering(then=text("[" * 9999))}}, Outcome.ERROR, "HTTP 200, but no Video object: "),
        ({"faults": {"create": reset}}, Outcome.ERROR, "ServerDisconnectedError: Server disconnected"),
        ({"faults": {"create": slow}}, Outcome.TIMEOUT, LATE),
        ({"seconds": 9}, Outcome.TIMEOUT, LATE),
        ({"faults": {"wait": answering(then=refuse(500))}}, Outcome.ERROR, "HTTP 500: no"),
        ({"faults": {"retrieve": answering(then=refuse(500))}}, Outcome.ERROR, "HTTP 500: no"),
        (
            {"faults": {"list": answering(then=text("{}", content_type="application/json"))}},
            Outcome.ERROR,
            "HTTP 200, but no VideoList object: ",
        ),
        ({"faults": {"manifest": answering(then=refuse(500))}}, Outcome.ERROR, "HTTP 500: no"),
        ({"faults": {"content": answering(then=text("<html>"))}}, Outcome.ERROR, "content is text/html, not a video"),
        ({"faults": {"content": answering(then=text("", 200, "video/mp4"))}}, Outcome.ERROR, "content is empty"),
        ({"faults": {"content": half}}, Outcome.ERROR, "ClientPayloadError: "),
        ({"faults": {"content": answering(then=refuse(410, "gone"))}}, Outcome.ERROR, "HTTP 410: gone"),
    ],
)
async def test_every_end_has_its_outcome_and_a_one_line_error(
    changes: dict[str, Any], outcome: Outcome, message: str
) -> None:
    async with serving(FakeTarget(**changes)) as fake, bench(fake.url) as b:
        limit = 0.3 if outcome is Outcome.TIMEOUT else 60
        job = await b.run(scenario(steps=ALL_STEPS[:-1], time_limit=limit))
    assert job.outcome is outcome
    assert job.error is not None
    assert job.error.startswith(message)
    assert "\n" not in job.error
    assert len(job.error) <= 200
    assert b.kept.jobs == [job]
    assert (job.accepted is None) == (job.job_id is None)


async def test_a_dead_target_is_an_error() -> None:
    async with bench("http://127.0.0.1:9") as b:
        job = await b.run(scenario())
    assert (job.outcome, job.error) == (Outcome.ERROR, "cannot connect: Connection refused")
    assert [(request.operation, request.status) for request in b.kept.requests] == [("create", None)]


async def test_lost_polls_are_repeated() -> None:
    fault = answering(refuse(500), refuse(503))
    async with serving(FakeTarget(faults={"wait": fault})) as fake, bench(fake.url) as b:
        job = await b.run(scenario())
    assert job.outcome is Outcome.COMPLETED
    assert [(r.operation, r.status) for r in b.kept.requests] == [
        ("create", 200), ("wait", 500), ("wait", 503), ("wait", 200), ("content", 200),
    ]  # fmt: skip


@pytest.mark.parametrize("status", [404, 405, 501, 403, 200])
async def test_a_target_without_long_poll_is_polled_at_the_interval(status: int) -> None:
    fake = FakeTarget(seconds=0.3, faults={"wait": answering(then=text("no route", status))})
    async with serving(fake), bench(fake.url) as b:
        spec = scenario(poll_interval=0.1)
        jobs = [await b.run(spec), await b.run(spec)]
    assert [job.outcome for job in jobs] == [Outcome.COMPLETED] * 2
    assert fake.counts()["wait"] == 1
    polls = [request for request in b.kept.requests if request.operation == "retrieve"]
    assert 2 <= len(polls) <= 9  # a busy machine sends fewer


async def test_a_deleted_video_is_not_read_as_a_missing_long_poll() -> None:
    def gone() -> web.Response:
        return error(404, "no such video", "video_not_found")

    fake = FakeTarget(faults={"wait": answering(gone, gone, gone), "retrieve": answering(gone, gone, gone)})
    async with serving(fake), bench(fake.url) as b:
        lost, found = await b.run(scenario()), await b.run(scenario())
    assert (lost.outcome, lost.error) == (Outcome.ERROR, "HTTP 404: no such video")
    assert found.outcome is Outcome.COMPLETED
    assert fake.counts()["wait"] == 4  # three polls of the first job: some servers know a job only after a moment


async def test_a_target_with_long_poll_is_never_polled() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        await b.run(scenario())
        fake.faults["wait"] = answering(lambda: error(404, "no such video", "video_not_found"), then=text("ok"))
        vanished, rubbish = await b.run(scenario()), await b.run(scenario())
    assert (vanished.outcome, vanished.error) == (Outcome.ERROR, "HTTP 404: no such video")
    assert rubbish.outcome is Outcome.ERROR
    assert (rubbish.error or "").startswith("HTTP 200, but no Video object: ")
    assert (fake.counts()["wait"], fake.counts()["retrieve"]) == (3, 0)


async def test_an_early_long_poll_answer_causes_no_busy_loop() -> None:
    fake = FakeTarget(seconds=0.3)
    fake.faults["wait"] = fake._retrieve
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario(poll_interval=0.1))
    assert job.outcome is Outcome.COMPLETED
    assert fake.counts()["wait"] <= 5


@pytest.mark.parametrize(
    ("changes", "integrity"),
    [
        ({}, "ok"),
        ({"manifest_sha256": hashlib.sha256(b"other").hexdigest()}, "corrupt"),
        ({"manifest": False}, None),
        ({"faults": {"manifest": answering(then=lambda: error(404, "no", "video_not_found"))}}, "missing"),
        (
            {
                "faults": {
                    "manifest": answering(
                        then=text('{"video_id": "video_0000", "status": "completed", "content": null}')
                    )
                }
            },
            "missing",
        ),
    ],
)
async def test_integrity_compares_content_and_manifest(changes: dict[str, Any], integrity: str | None) -> None:
    async with serving(FakeTarget(**changes)) as fake, bench(fake.url) as b:
        job = await b.run(scenario(steps=["create", "wait", "manifest", "content"]))
    assert (job.outcome, job.integrity) == (Outcome.COMPLETED, integrity)


async def test_a_timed_out_job_is_deleted_if_the_steps_delete() -> None:
    async with serving(FakeTarget(seconds=9)) as fake, bench(fake.url) as b:
        job = await b.run(scenario(steps=["create", "wait", "delete"], time_limit=0.2))
    assert (job.outcome, job.deleted) == (Outcome.TIMEOUT, True)
    assert job.done - job.sent >= 0.2 - 0.005


async def test_a_cancelled_task_leaves_an_aborted_record_and_an_ended_trace() -> None:
    waits = asyncio.Event()

    async def note(_: web.Request) -> None:
        waits.set()

    async with serving(FakeTarget(seconds=9, faults={"wait": note})) as fake, bench(fake.url) as b:
        task = asyncio.create_task(b.run(scenario()))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (job,) = b.kept.jobs
    assert (job.outcome, job.job_id, job.error) == (Outcome.ABORTED, "video_0000", "the run was stopped")
    assert [(request.operation, request.status) for request in b.kept.requests] == [("create", 200), ("wait", None)]
    assert {span.name for span in b.telemetry.exporter.get_finished_spans()} == {"loadgen.job", "POST /v1/videos"}


async def test_the_trace_has_one_root_and_its_sampled_requests() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        with b.telemetry.tracer.start_as_current_span("unrelated"):
            job = await b.run(scenario(steps=ALL_STEPS))
    spans = b.telemetry.exporter.get_finished_spans()
    root = next(span for span in spans if span.name == "loadgen.job")
    assert root.parent is None
    assert f"{root.context.trace_id:032x}" == job.trace_id
    assert root.kind is SpanKind.INTERNAL
    assert dict(root.attributes or {}) == {
        "run_id": "run-1",
        "scenario": "trial",
        "case": "n01",
        "loadgen.job.index": 0,
        "loadgen.job.warmup": False,
        "loadgen.job.outcome": "completed",
        "video.id": "video_0000",
    }
    assert root.status.status_code is StatusCode.UNSET
    requests = [span for span in spans if span.name not in {"loadgen.job", "unrelated"}]
    assert [span.name for span in requests] == [
        "POST /v1/videos",
        "GET /v1/videos",
        "GET /v1/videos/{video_id}/manifest",
        "GET /v1/videos/{video_id}/content",
        "DELETE /v1/videos/{video_id}",
    ]
    assert {span.kind for span in requests} == {SpanKind.CLIENT}
    assert {span.parent.span_id for span in requests if span.parent} == {root.context.span_id}
    on_the_wire = {f"{span.context.span_id:016x}" for span in requests}
    for seen in fake.log:
        version, trace_id, parent, flags = seen.traceparent.split("-")
        assert (version, trace_id) == ("00", job.trace_id)
        polled = seen.operation in {"retrieve", "wait"}
        assert int(flags, 16) & 1 == (0 if polled else 1)
        assert (parent == f"{root.context.span_id:016x}") if polled else (parent in on_the_wire)


async def test_baggage_names_run_scenario_and_case_on_every_request() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        await b.run(scenario(steps=ALL_STEPS))
    assert {frozenset(seen.baggage.split(",")) for seen in fake.log} == {
        frozenset({"run_id=run-1", "scenario=trial", "case=n01"})
    }
    assert len(fake.log) == 7


async def test_warm_up_requests_have_no_baggage() -> None:
    spec = scenario(
        cases=[
            {
                "name": "n01",
                "model": "closed",
                "concurrency": 1,
                "iterations": {"quick": 1, "standard": 1, "paper": 1},
                "warmup": {"quick": 1, "standard": 1, "paper": 1},
            }
        ]
    )
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        job = await b.run(spec, index=0)
    assert (job.case, job.warmup) == ("n01", True)
    assert {request.baggage for request in fake.log} == {""}


async def test_a_failed_job_is_an_error_in_its_trace() -> None:
    async with serving(FakeTarget(faults={"create": answering(then=refuse(429))})) as fake, bench(fake.url) as b:
        await b.run(scenario())
    spans = {span.name: span for span in b.telemetry.exporter.get_finished_spans()}
    assert spans["loadgen.job"].status.status_code is StatusCode.ERROR
    assert (spans["loadgen.job"].attributes or {})["loadgen.job.outcome"] == "rejected"
    attributes = spans["POST /v1/videos"].attributes or {}
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (429, "429")


async def test_a_hostile_id_is_escaped_in_the_path() -> None:
    evil = '{"id": "../../x?y", "object": "video", "status": "queued", "created_at": 1}'
    fake = FakeTarget(faults={"create": answering(then=text(evil, 200, "application/json"))})
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario())
    assert job.outcome is Outcome.ERROR
    assert {seen.operation for seen in fake.log} == {"create", "wait", "retrieve"}
    assert {seen.video_id for seen in fake.log if seen.operation == "wait"} == {"../../x?y"}


CANCEL = {"steps": ["create", "cancel"], "cancel_after": {"earliest": 0.05, "latest": 0.05}}


async def test_a_cancelled_job_is_timed_and_its_absence_checked() -> None:
    async with serving(FakeTarget(seconds=9)) as fake, bench(fake.url) as b:
        job = await b.run(scenario(**CANCEL))
    assert (job.outcome, job.deleted, job.leftover, job.error) == (Outcome.CANCELLED, True, False, None)
    assert job.accepted is not None
    assert job.cancel_sent is not None
    assert job.cancel_sent - job.accepted >= 0.05 - 0.005
    assert job.cancel_sent < job.done
    assert [request.operation for request in b.kept.requests] == ["create", "cancel", "retrieve"]


async def test_a_video_that_is_still_shown_after_its_cancellation_is_a_leftover() -> None:
    fake = FakeTarget(seconds=9)
    fake.faults["retrieve"] = answering(then=text('{"id": "video_0000", "object": "video"}'))
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario(**CANCEL))
    assert (job.outcome, job.leftover) == (Outcome.CANCELLED, True)


async def test_a_job_that_had_ended_before_its_cancellation_counts_as_completed() -> None:
    async with serving(FakeTarget(seconds=0.0)) as fake, bench(fake.url) as b:
        job = await b.run(scenario(**CANCEL))
    assert (job.outcome, job.deleted) == (Outcome.COMPLETED, True)


async def test_without_a_cancelled_field_the_deletion_counts_as_a_cancellation() -> None:
    async with serving(FakeTarget(seconds=9, says_cancelled=False)) as fake, bench(fake.url) as b:
        job = await b.run(scenario(**CANCEL))
    assert job.outcome is Outcome.CANCELLED


def scene(name: str, content: bytes = b"png", size: int | None = None) -> dict[str, Any]:
    asset = {
        "path": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content) if size is None else size,
        "media_type": "image/png",
    }
    return {"index": 0, "status": "completed", "audio": asset | {"path": f"{name}.wav"}, "visual": asset}


@pytest.mark.parametrize(
    ("changes", "integrity", "files", "complaint"),
    [
        ({"assets": {"s": b"png", "s.wav": b"png"}}, "ok", 3, None),
        ({"assets": {"s": b"gnp", "s.wav": b"png"}}, "corrupt", 3, "s does not match its checksum"),
        ({"assets": {"s.wav": b"png"}}, "missing", 2, "s is missing"),
        (
            {"assets": {"s": b"png", "s.wav": b"png"}, "scenes": [scene("s", size=9)]},
            "corrupt",
            3,
            "s.wav does not match its checksum; s does not match its checksum",
        ),
        (
            {"scenes": [scene("s") | {"audio": None, "visual": None}]},
            "corrupt",
            1,
            "scene 0 is completed without its files",
        ),
    ],
)
async def test_every_file_of_the_manifest_is_downloaded_and_compared(
    changes: dict[str, Any], integrity: str, files: int, complaint: str | None
) -> None:
    fake = FakeTarget(**({"scenes": [scene("s")]} | changes))
    async with serving(fake), bench(fake.url) as b:
        job = await b.run(scenario(steps=["create", "wait", "content", "manifest", "assets"]))
    assert (job.outcome, job.integrity, job.files, job.error) == (Outcome.COMPLETED, integrity, files, complaint)


async def test_the_manifest_shows_a_partial_video() -> None:
    failed = {"index": 1, "status": "failed", "audio": None, "visual": None}
    async with serving(FakeTarget(scenes=[scene("s"), failed])) as fake, bench(fake.url) as b:
        job = await b.run(scenario(steps=["create", "wait", "content", "manifest"]))
    assert (job.outcome, job.scenes, job.scenes_completed, job.integrity) == (Outcome.COMPLETED, 2, 1, "ok")
