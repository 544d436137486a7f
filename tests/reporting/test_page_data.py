"""The data of the page's script: samples of jobs and spans that keep every kind, and percentiles by sample size."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.evidence.traces import TraceEvidence, TraceSpan
from reelbench.reporting.results import page_data as pages
from reelbench.reporting.results.page_data import page_data
from reelbench.reporting.statistics.intervals import summarize
from tests.data_helper import job
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun

PLACE = {"scenario": "single_request", "case": "n01"}


def many(count: int) -> list[JobRecord]:
    """Jobs of one case: every hundredth failed, the one in the middle is by far the slowest."""
    return [
        job(
            i,
            due=10.0 + i,
            seconds=60.0 if i == count // 2 else 0.5,
            **PLACE,
            trace_id=f"{i:032x}",
            **({"outcome": Outcome.FAILED, "error": "scene failed"} if i % 100 == 99 else {}),
        )
        for i in range(count)
    ]


def test_a_page_of_a_large_run_keeps_failures_the_slowest_job_and_jobs_with_spans(made: MadeRun) -> None:
    jobs = many(20_000)
    span = TraceSpan(20.0, 20.5, "loadgen", "loadgen.job", "1", "")
    found = page_data(replace(evidence(made, jobs=jobs), traces=TraceEvidence(spans={jobs[12_345].trace_id: (span,)})))
    assert found.total == 20_000
    assert len(found.jobs) <= pages.MOST_JOBS
    assert len(found.jobs) > pages.MOST_JOBS / 2
    assert sum(row.outcome == "failed" for row in found.jobs) >= 200
    assert max(row.seconds for row in found.jobs) == 60.0
    assert [row.index for row in found.jobs if row.trace == 0] == [12_345]
    assert [row.due for row in found.jobs] == sorted(row.due for row in found.jobs)
    assert len({row.index for row in found.jobs}) == len(found.jobs)


def test_a_small_run_has_every_job(made: MadeRun) -> None:
    found = page_data(evidence(made))
    assert (len(found.jobs), found.total) == (len(made.jobs), len(made.jobs))


def test_percentiles_end_at_those_of_the_whole_sample(made: MadeRun) -> None:
    shown = evidence(made)
    for one in page_data(shown).cases:
        times = shown.response_times(one.scenario, one.case)
        if one.growth is None:
            assert not times
            continue
        whole = summarize(times)
        assert whole is not None
        assert one.growth.n[-1] == whole.n
        assert one.growth.p95[-1][0] == pytest.approx(whole.p95.value, rel=1e-3)
        assert (one.growth.p95[-1][2] is None) == (whole.p95.interval.upper is None)
        assert list(one.growth.n) == sorted(set(one.growth.n))


def test_counts_of_a_case_are_those_of_its_measured_jobs(made: MadeRun) -> None:
    shown = evidence(made, jobs=many(300))
    (one,) = [case for case in page_data(shown).cases if (case.scenario, case.case) == tuple(PLACE.values())]
    assert (one.jobs, one.completed, one.failed) == (300, 297, 3)


def test_spans_stand_under_their_parents_with_times_since_the_intended_start(made: MadeRun) -> None:
    (one,) = many(1)
    spans = (
        TraceSpan(10.0, 10.5, "loadgen", "loadgen.job", "1", ""),
        TraceSpan(10.1, 10.4, "service", "stage", "2", "1", error="broken", scene="3"),
    )
    found = page_data(replace(evidence(made, jobs=[one]), traces=TraceEvidence(spans={one.trace_id: spans})))
    assert found.words == ("loadgen", "loadgen.job", "service", "stage (scene 3)")
    assert json.loads(msgspec.json.encode(found.traces)) == [
        [[0, 0, 1, 0.0, 500.0, ""], [1, 2, 3, 100.0, 300.0, "broken"]]
    ]


def test_a_job_with_very_many_spans_keeps_the_highest(made: MadeRun) -> None:
    (one,) = many(1)
    root = TraceSpan(10.0, 10.5, "loadgen", "loadgen.job", "root", "")
    rest = tuple(TraceSpan(10.1, 10.2, "service", "call", str(i), "root") for i in range(500))
    found = page_data(replace(evidence(made, jobs=[one]), traces=TraceEvidence(spans={one.trace_id: (root, *rest)})))
    assert [row.depth for row in found.traces[0]] == [0] + [1] * (pages.MOST_SPANS - 1)
