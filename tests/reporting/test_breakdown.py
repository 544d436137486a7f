from __future__ import annotations

import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.analysis.breakdown import BETWEEN, CLIENT, QUEUE, REQUESTS, SUBMIT, Share, breakdown, shares
from reelbench.reporting.evidence.traces import TraceSpan
from tests.reporting.made_traces import job, recorded, spans, written

TRACE = spans("""
    root    -       1   120 loadgen   loadgen.job
    post    root    2   12  loadgen   POST /v1/videos
    server  post    4   10  service   POST /v1/videos
    work    server  9   100 service   video.job
    queue   work    9   30  service   video.job.queue
    parse   work    32  40  service   video.job.stage parse
    script  work    40  60  service   video.job.stage script
    chat    script  41  59  service   chat gpt
    llm     chat    43  57  providers POST /v1/chat/completions
    speech  work    60  70  service   video.job.stage speech
    visual  work    60  90  service   video.job.stage visual
    compose work    90  98  service   video.job.stage compose
    get     root    104 110 loadgen   GET /v1/videos/{video_id}/content
    sent    get     105 108 service   GET /v1/videos/{video_id}/content
    delete  root    112 119 loadgen   DELETE /v1/videos/{video_id}
""")
EXPECTED = {
    CLIENT: Share(own=2 + 4 + 1),  # before sending, the answer in transit after the end, after the download
    SUBMIT: Share(own=9 - 2),
    QUEUE: Share(own=21),
    BETWEEN: Share(own=2 + 2),
    "Document parsing": Share(own=8),
    "LLM script": Share(own=2, call=4, provider=14),
    "Visuals": Share(own=30),
    "Composition": Share(own=8),
    REQUESTS: Share(own=6),
}


def test_the_path_of_a_made_job_by_part() -> None:
    found = shares(job(0, 111), TRACE)
    assert found == EXPECTED
    assert sum(share.seconds for share in found.values()) == 111


def test_means_cover_jobs_with_a_trace() -> None:
    idle = spans("root - 0 9 loadgen loadgen.job")
    path = breakdown([job(0, 111, "a"), job(0, 9, "b"), job(0, 50, "lost")], {"a": TRACE, "b": idle}, 4)
    assert path is not None
    assert (path.n, path.asked, path.completed, path.response) == (2, 3, 4, 60.0)
    assert path.parts["LLM script"] == Share(own=1, call=2, provider=7)
    assert path.seconds(CLIENT) == (7 + 9) / 2
    assert path.seconds(QUEUE) == 10.5
    assert path.work == (4 + 8 + 20 + 30 + 8) / 2
    assert list(path.parts) == [
        SUBMIT, QUEUE, "Document parsing", "LLM script", "Visuals", "Composition", BETWEEN, REQUESTS, CLIENT,
    ]  # fmt: skip
    assert breakdown([job(0, 50, "lost")], {"a": TRACE}, 1) is None


def test_without_server_spans_all_time_is_client_and_requests() -> None:
    trace = spans("""
        root - 0 10 loadgen loadgen.job
        post root 1 3 loadgen POST /v1/videos
        get root 8 10 loadgen GET /v1/videos/{video_id}/content
        odd get 8 9 elsewhere something unknown
    """)
    assert shares(job(0, 10), trace) == {CLIENT: Share(own=6), SUBMIT: Share(own=2), REQUESTS: Share(own=2)}


def total(trace: str, name: str, scene: int = -1) -> float:
    return next(length for found, number, length in written(trace, "service") if (found, number) == (name, scene))


def of(scenario: str) -> tuple[JobRecord, tuple[TraceSpan, ...], dict[str, Share]]:
    done, trace = recorded(scenario)
    found = shares(done, trace)
    assert sum(share.seconds for share in found.values()) == pytest.approx(done.done - done.due, abs=1e-9)
    return done, trace, found


def test_the_path_of_a_recorded_queued_job() -> None:
    done, trace, found = of("throughput")
    assert len(trace) == sum(len(written(done.trace_id, service)) for service in ("loadgen", "service", "providers"))
    assert found[QUEUE].seconds == pytest.approx(total(done.trace_id, "video.job.queue"), abs=1e-6)
    assert found["Document parsing"].seconds == pytest.approx(total(done.trace_id, "video.job.stage parse"), abs=1e-6)
    assert found["LLM script"].seconds == pytest.approx(total(done.trace_id, "video.job.stage script"), abs=1e-6)
    assert found["Visuals"].seconds == pytest.approx(total(done.trace_id, "video.job.stage visual", 3), abs=1e-6)
    assert found["Composition"].seconds == pytest.approx(total(done.trace_id, "video.job.stage compose"), abs=1e-6)
    assert "TTS speech" not in found  # no speech span ended last


def test_the_path_of_a_recorded_job_with_three_attempts() -> None:
    done, trace, found = of("tts_failures")
    stage = total(done.trace_id, "video.job.stage speech", 2)
    calls = [length for name, _, length in written(done.trace_id, "service") if name.startswith("text_to_speech")]
    assert found["TTS speech"].seconds == pytest.approx(stage, abs=1e-6)
    assert 0.12 < found["TTS speech"].own < stage  # the waits between attempts
    assert found["TTS speech"].call + found["TTS speech"].provider < sum(calls)
    assert "Visuals" not in found
    attempts = [span.attempt for span in trace if span.scene == "" and span.name.startswith("text_to_speech")]
    assert sorted(attempts) == [1, 1, 1, 1, 1, 2, 3]


def test_the_path_of_a_recorded_failed_job_ends_at_the_failure() -> None:
    done, trace, found = of("llm_outage")
    assert done.outcome is Outcome.FAILED
    assert found["LLM script"].seconds == pytest.approx(total(done.trace_id, "video.job.stage script"), abs=1e-6)
    assert "Composition" not in found
    assert next(span.error for span in trace if span.name == "chat gpt-4o-mini") == (
        "The llm provider answered with status 503."
    )
