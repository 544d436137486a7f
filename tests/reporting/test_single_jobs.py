"""The sections made from traces: where the time goes, and the slowest and failed jobs."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.stack import StackRecord
from reelbench.reporting.analysis.critical_path import seconds_in_spans
from reelbench.reporting.analysis.span_tree import span_tree
from reelbench.reporting.document import grafana_links
from reelbench.reporting.document.report import Chart, Code, Paragraph, Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.traces import TraceEvidence, TraceSpan
from reelbench.reporting.sections import outliers
from reelbench.reporting.sections.performance.parts_of_a_job import critical_path, critical_path_details
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun
from tests.reporting.made_traces import job, recorded, spans
from tests.reporting.test_breakdown import TRACE

OPEN = "The llm provider was not called, as its circuit breaker is open. The cause: The llm provider answ..."
SLOW = spans("""
    root  -    0 400 loadgen loadgen.job
    work  root 0 400 service video.job
    queue work 0 300 service video.job.queue
    visual work 300 400 service video.job.stage visual
""")


def known(made: MadeRun, jobs: list[JobRecord], gathered: TraceEvidence) -> Evidence:
    return dataclasses.replace(evidence(made, jobs=jobs), traces=gathered)


def two_levels(made: MadeRun) -> Evidence:
    jobs = [
        job(0, 111, "a"),
        job(0, 90, "gone"),
        job(0, 400, "b", case="n50"),
        job(0, 9, "bad", case="n50", outcome=Outcome.FAILED, error="no"),
    ]
    return known(made, jobs, TraceEvidence(spans={"a": TRACE, "b": SLOW, "bad": SLOW}, per_case=500))


def blocks(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


def test_an_open_case_has_no_number_of_jobs_in_flight(made: MadeRun) -> None:
    records = two_levels(made)
    scenarios = [
        msgspec.structs.replace(
            scenario,
            cases=[msgspec.structs.replace(case, model="open", concurrency=0) for case in scenario.cases],
        )
        for scenario in records.run.scenarios
    ]
    opened = msgspec.structs.replace(records.run, scenarios=scenarios)
    overview = blocks(critical_path(dataclasses.replace(records, run=opened)), Table)[0]
    assert [row[:3] for row in overview.rows] == [
        ("concurrent_load / n05", "1", "111.000"), ("concurrent_load / n50", "1", "400.000"),
    ]  # fmt: skip


def test_where_the_time_goes_by_level(made: MadeRun) -> None:
    records = two_levels(made)
    (overview,) = blocks(critical_path(records), Table)
    details = critical_path_details(records)
    assert details is not None
    matrix, n05, n50 = blocks(details, Table)
    shares = dict(zip(matrix.columns, zip(*matrix.rows, strict=True), strict=True))
    assert shares["Queue"] == ("21.000 (19 %)", "300.000 (75 %)")
    assert shares["LLM script"] == ("20.000 (18 %)", "-")
    assert overview.rows == (
        (
            "concurrent_load / n05", "1", "111.000", "21.000", "18.9", "70.000", "63.1", "20.000", "18.0",
            "Visuals", "30.000", "27.0", "13.5",
        ),
        (
            "concurrent_load / n50", "1", "400.000", "300.000", "75.0", "100.000", "25.0", "0.000", "0.0",
            "Visuals", "100.000", "25.0", "12.5",
        ),
    )  # fmt: skip
    assert "Not found: 1 trace." in overview.caption
    cells = {row[0]: row[1:] for row in n05.rows}
    assert cells["LLM script"] == ("20.000", "18.0", "2.000", "4.000", "14.000", "10.000 (9.0 %)")
    assert cells["Queue"] == ("21.000", "18.9", "21.000", "-", "-", "10.500 (9.5 %)")
    assert cells["**Response time**"][:2] == ("111.000", "100.0")
    assert sum(float(row[1]) for row in n05.rows[:-1]) == 111
    assert [row[0] for row in n50.rows] == ["Queue", "Visuals", "**Response time**"]


def test_the_pieces_of_a_bar_add_up_to_the_mean_response_time(made: MadeRun) -> None:
    (chart,) = blocks(critical_path(two_levels(made)), Chart)
    assert (chart.kind, chart.labels) == ("stacked", ("concurrent_load / n05", "concurrent_load / n50"))
    assert [sum(ys) for ys in zip(*(series.ys for series in chart.series), strict=True)] == [111, 400]
    assert chart.series[0].name == "Client and API"
    assert chart.series[0].ys == (20, 0)
    assert "n traces = 1 in concurrent_load / n05, 1 in concurrent_load / n50" in chart.caption


def test_a_level_with_zero_time_is_left_out(made: MadeRun) -> None:
    jobs = [job(0, 111, "a"), job(5, 5, "b", case="n50")]
    gathered = TraceEvidence(spans={"a": TRACE, "b": spans("root - 5 5 loadgen loadgen.job")}, per_case=500)
    overview = blocks(critical_path(known(made, jobs, gathered)), Table)[0]
    assert [row[0] for row in overview.rows] == ["concurrent_load / n05"]


def test_sampling_is_stated(made: MadeRun) -> None:
    jobs = [job(0, 111, f"t{number}", index=number) for number in range(30)]
    gathered = TraceEvidence(spans={f"t{number}": TRACE for number in range(30)}, per_case=20)
    overview = blocks(critical_path(known(made, jobs, gathered)), Table)[0]
    assert overview.rows[0][1] == "20"
    assert "a seeded sample" in overview.caption


def test_sections_without_traces_have_a_note(made: MadeRun) -> None:
    gone = known(made, [job(0, 1)], TraceEvidence(absent="Tempo is gone"))
    for section in (critical_path(gone), outliers.section(gone, "performance")):
        assert section.blocks[0] == Paragraph("Traces not available: Tempo is gone.")
        assert not blocks(section, Code)


def test_the_slowest_and_the_failed_job_with_their_spans(made: MadeRun) -> None:
    slow, bad = blocks(outliers.section(two_levels(made), "performance"), Table)
    assert slow.rows == (
        ("concurrent_load / n05", "7", "111.000", "completed", "-", "`a`"),
        ("concurrent_load / n50", "7", "400.000", "completed", "-", "`b`"),
    )
    assert bad.rows == (("concurrent_load / n50", "7", "9.000", "failed", "no", "`bad`"),)
    assert bad.caption == "Jobs without a video, 1 in all, one of each kind first."
    section = outliers.traces(two_levels(made), "performance")
    assert section is not None
    assert len(blocks(section, Code)) == 3
    lost = outliers.traces(known(made, [job(0, 90, "gone")], TraceEvidence()), "performance")
    assert lost is not None
    assert lost.blocks == (Paragraph("Job 7 of concurrent_load / n05, trace `gone`: the trace was not found."),)


def test_at_most_five_failed_jobs_are_shown_and_the_others_counted(made: MadeRun) -> None:
    jobs = [job(0, 9, "bad", index=number, outcome=Outcome.ERROR, error="no") for number in range(12)]
    (bad,) = blocks(outliers.section(known(made, jobs, TraceEvidence()), "performance"), Table)
    assert [row[1] for row in bad.rows] == ["0", "1", "2", "3", "4"]
    assert bad.caption.endswith("12 in all, one of each kind first. 7 more are not shown.")


def test_the_tree_of_a_recorded_failed_job() -> None:
    done, trace = recorded("llm_outage")
    tree = span_tree(trace, done.due, seconds_in_spans(trace, done.due, done.done)).splitlines()
    assert [re.sub(r"  +", " | ", line.strip()) for line in tree] == [
        "span | service | start ms | length ms | path ms | status",
        f"loadgen.job | loadgen | 0.0 | 154.2 | 1.6 | error: {OPEN}",
        "POST /v1/videos | loadgen | 0.2 | 7.0 | 2.6 | ok",
        "POST /v1/videos | service | 2.8 | 4.2 | 3.5 | ok",
        f"video.job | service | 6.3 | 146.2 | 1.1 | error: {OPEN}",
        "video.job.queue | service | 6.3 | 0.8 | 0.8 | ok",
        "video.job.stage parse | service | 8.1 | 9.4 | 9.4 | ok",
        f"video.job.stage script | service | 17.6 | 134.9 | 133.0 | error: {OPEN}",
        "chat gpt-4o-mini | service | 17.7 | 2.0 | 1.7 | error: The llm provider answered with status 503.",
        "POST /v1/chat/completions | providers | 19.2 | 0.3 | 0.3 | error: 503",
    ]
    assert tree[5].startswith("        video.job.queue ")


def test_a_long_tree_keeps_spans_on_the_path_and_failures() -> None:
    done, trace = recorded("tts_failures")
    path = seconds_in_spans(trace, done.due, done.done)
    failed = {span.span_id for span in trace if span.error}
    assert len(trace) == 48
    tree = span_tree(trace, done.due, path, most=len(path.keys() | failed)).splitlines()
    assert sum(1 for line in tree if "error: " in line) == len(failed) == 4
    assert all("scene" not in line or "scene 2" in line for line in tree)
    assert any("attempt 3, ok" in line for line in tree)
    assert tree[-1].startswith(f"... and {48 - len(path.keys() | failed)} more")
    assert len(span_tree(trace, done.due, path).splitlines()) == 1 + 45 + 1


def test_names_cannot_break_the_lines_of_a_tree() -> None:
    trace = (TraceSpan(0.0, 1.0, "s\n", "evil\nname\x1b[31m" + "x" * 99, "1", "", error="a\r\nb"),)
    tree = span_tree(trace, 0.0, {}).splitlines()
    assert len(tree) == 2
    assert tree[1].startswith("evil name [31mxxx")
    assert tree[1].endswith("error: a  b")


def test_a_trace_is_linked_into_grafana_where_there_is_one(made: MadeRun) -> None:
    stack = StackRecord(schema_version=1, kind="external", grafana_url="http://grafana.test")
    section = outliers.traces(dataclasses.replace(two_levels(made), stack=stack), "performance")
    address = grafana_links.trace("http://grafana.test", "b", 0, 400)
    assert section is not None
    assert blocks(section, Paragraph)[1].text == (
        f"Job 7 of concurrent_load / n50, trace [`b`]({address}); times from its intended start:"
    )
    assert re.fullmatch(r"[^()\s|]+", address)  # no character that ends a Markdown link
    parts = urlsplit(address)
    assert parts.path == "/explore"
    panes = json.loads(parse_qs(parts.query)["panes"][0])
    assert panes["trace"]["queries"][0]["query"] == "b"
    assert panes["trace"]["datasource"] == "tempo"
    assert panes["trace"]["range"] == {"from": "-10000", "to": "410000"}
