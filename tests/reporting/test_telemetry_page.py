"""The page of the telemetry contract from made declarations."""

from __future__ import annotations

import pytest

from reelbench.monitoring.telemetry_page import markdown
from reelbench.reporting.catalogue.instruments import Attribute, Declared, Instrument
from reelbench.reporting.catalogue.spans import Event, Span, Traces

DECLARED = Declared(
    instruments=(
        Instrument(
            name="made.duration",
            components=("service",),
            kind="histogram",
            unit="s",
            description="How long",
            attributes=("kind", "run_id", "scenario", "case"),
            sometimes=("error.type",),
            bounds=(0.1, 0.25, 1048576.0),
        ),
        Instrument(name="made.share", components=("providers", "service"), kind="gauge", unit="1", description="Part."),
    ),
    attributes=(
        Attribute(name="kind", instruments=("other",), meaning="Not this one.", values=("no",)),
        Attribute(name="kind", meaning="Which.", values=("a", "b")),
        Attribute(name="error.type", meaning="Why."),
    ),
    stack=("up", "ALERTS"),
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


def rows() -> list[list[str]]:
    lines = markdown(DECLARED, TRACES).decode().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def test_an_instrument_has_its_names_kind_unit_attributes_and_buckets() -> None:
    assert [
        "`made.duration`", "histogram", "`s`", "`made_duration_seconds`", "=",
        "`kind`, `run_id`, `scenario`, `case`, (`error.type`)", "How long.",
    ] in rows()  # fmt: skip
    assert ["`made.duration`", "3", "0.1, 0.25, 1048576"] in rows()


def test_an_instrument_of_several_processes_says_which_and_what_it_is_called_by_otlp() -> None:
    expected = [
        "`made.share`",
        "gauge",
        "`1`",
        "`made_share`",
        "`made_share_ratio`",
        "",
        "Part. Of providers and service.",
    ]
    assert expected in rows()


def test_an_attribute_has_the_values_and_the_meaning_that_hold_for_its_instrument() -> None:
    assert ["`kind`", "`made.duration`", "`a`, `b`", "Which."] in rows()
    assert ["`error.type`", "`made.duration`", "any", "Why."] in rows()
    assert not any("Not this one." in row for row in rows())


def test_spans_and_their_events_stand_on_the_page() -> None:
    assert ["`made <what>`", "service", "client", "`a`, (`b`)", "A call."] in rows()
    assert ["`made.event`", "`c`, `d`", "It happened."] in rows()


def test_an_attribute_that_nobody_explains_is_told() -> None:
    unexplained = Declared(instruments=DECLARED.instruments, attributes=DECLARED.attributes[:2], stack=())
    with pytest.raises(KeyError, match=r"made\.duration: error\.type"):
        markdown(unexplained, TRACES)


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
def test_a_span_fits_the_kind_whose_name_it_has(pattern: str, name: str, fits: bool) -> None:  # noqa: FBT001
    span = Span(name=pattern, component="service", kind="internal", meaning="", attributes=())
    assert span.matches(name) is fits
