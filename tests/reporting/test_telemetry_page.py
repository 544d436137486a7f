"""The page of the telemetry contract, generated from test declarations."""

from __future__ import annotations

from typing import Literal

import pytest

from reelbench.monitoring.contract import Event, Instrument, Span, Traces, load_instruments
from reelbench.monitoring.pages import telemetry_page
from reelbench.telemetry.registry import Attribute, Metric

INSTRUMENTS = (
    Instrument(
        Metric(
            name="made.duration",
            brief="How long",
            instrument="histogram",
            unit="s",
            attributes=(
                Attribute("kind", "Which.", ("a", "b"), required=True),
                Attribute("run_id", "The run.", (), required=True),
                Attribute("error.type", "Why.", (), required=False),
            ),
            bounds=(0.1, 0.25, 1048576.0),
        ),
        ("service",),
    ),
    Instrument(
        Metric(name="made.share", brief="Part.", instrument="gauge", unit="1", attributes=()), ("providers", "service")
    ),
)
TRACES = Traces(
    spans=(
        Span(
            name="made <what>",
            component="service",
            kind="client",
            meaning="A call.",
            attributes=("a",),
            sometimes=("b",),
            events=("made.event",),
        ),
    ),
    events=(Event(name="made.event", meaning="It happened.", attributes=("c", "d")),),
)


def test_the_page_has_a_row_for_each_metric_attribute_span_and_event() -> None:
    lines = telemetry_page(INSTRUMENTS, TRACES).decode().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    for row in (
        ["`made.duration`", "histogram", "`s`", "`made_duration_seconds`", "=",
         "`kind`, `run_id`, (`error.type`)", "How long."],
        ["`made.duration`", "3", "0.1, 0.25, 1048576"],
        ["`made.share`", "gauge", "`1`", "`made_share`", "`made_share_ratio`", "",
         "Part. Recorded by providers and service."],
        ["`kind`", "`made.duration`", "`a`, `b`", "Which."],
        ["`error.type`", "`made.duration`", "any", "Why."],
        ["`made <what>`", "service", "client", "`a`, (`b`)", "A call."],
        ["`made.event`", "`c`, `d`", "It happened."],
    ):  # fmt: skip
        assert row in rows
    assert not any(row[:2] == ["`run_id`", "`made.duration`"] for row in rows), "the text explains the places of a job"


def test_every_metric_and_attribute_says_what_it_means() -> None:
    for one in load_instruments():
        assert one.metric.brief, one.name
        assert all(attribute.brief for attribute in one.metric.attributes), one.name


@pytest.mark.parametrize(
    ("name", "unit", "kind", "series"),
    [
        ("video.jobs", "{job}", "counter", {"video_jobs_total"}),
        ("provider.response.bytes", "By", "counter", {"provider_response_bytes_total"}),
        ("process.cpu.utilization", "1", "gauge", {"process_cpu_utilization", "process_cpu_utilization_ratio"}),
        ("video.jobs.active", "1", "updowncounter", {"video_jobs_active"}),
        (
            "a.duration",
            "s",
            "histogram",
            {f"a_duration_seconds{part}" for part in ("", "_bucket", "_sum", "_count")},
        ),
    ],
)
def test_names_of_series_follow_from_unit_and_kind(
    name: str, unit: str, kind: Literal["counter", "gauge", "histogram", "updowncounter"], series: set[str]
) -> None:
    assert Instrument(Metric(name, "", kind, unit, ()), ()).series == series


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("video.job", "video.job", True),
        ("video.job", "video.job.queue", False),
        ("video.job", "video-job", False),
        ("<method> /v1/videos<path>", "GET /v1/videos/{video_id}/content", True),
        ("<method> /v1/videos<path>", "GET /v2/videos", False),
        ("<operation> <model>", "chat gpt-4o-mini", True),
    ],
)
def test_spans_are_matched_to_kinds_by_name(pattern: str, name: str, fits: bool) -> None:  # noqa: FBT001
    span = Span(name=pattern, component="service", kind="internal", meaning="", attributes=())
    assert span.matches(name) is fits
