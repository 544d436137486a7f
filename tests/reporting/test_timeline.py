"""The run over time: bins, jobs, resources, shades, by value on made records."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from reelbench.loadgen.record.jobs import Outcome, ServerTimes
from reelbench.loadgen.record.processes import Part, PartUsage, UsageSample
from reelbench.reporting.analysis.bins import Bins, bins
from reelbench.reporting.analysis.run_timeline import case_timeline, dimension_timeline, run_timeline
from reelbench.reporting.analysis.timeline import Shade, Timeline, TimePanel, TimeSeries, step_of
from reelbench.reporting.document.report import Chart
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.usage_samples import UsageSamples
from reelbench.reporting.sections import over_time
from tests.data_helper import job
from tests.reporting.evidence_of import evidence, only
from tests.reporting.made_run import MadeRun

AXIS = Bins(100.0, 2.0, 3)


def values(timeline: Timeline, panel: str, series: str) -> tuple[float | None, ...]:
    return next(s.values for p in timeline.panels if p.id == panel for s in p.series if s.id == series)


@pytest.mark.parametrize(
    ("seconds", "most", "step"),
    [(20, 600, 0.1), (60, 600, 0.1), (61, 600, 0.2), (317, 600, 1), (3_600, 600, 10), (600 * 86_400 * 3, 600, 259_200)],
)
def test_the_length_of_a_bin_follows_from_the_length_of_the_run(seconds: float, most: int, step: float) -> None:
    assert step_of(seconds, most) == step
    assert bins(7.0, 7.0 + seconds, step).count <= most


def test_a_rate_counts_the_events_of_each_bin() -> None:
    assert AXIS.rate(np.array([99.0, 100.0, 101.9, 102.0, 105.0, 107.0])) == (1.0, 0.5, 0.5)


def test_a_quantile_is_an_observed_value_and_missing_where_no_job_ended() -> None:
    times = np.array([100.5] * 20 + [105.0])
    p50, p95 = AXIS.quantiles(times, np.array([*range(1, 21), 7.0]), (0.5, 0.95))
    assert p50 == (10.0, None, 7.0)
    assert p95 == (19.0, None, 7.0)


def test_jobs_in_progress_are_a_mean_over_the_bin_and_reach_over_its_borders() -> None:
    # one from before the axis to 101, one from 101 to 105, one of no length
    assert AXIS.in_progress(np.array([90.0, 101.0, 103.0]), np.array([101.0, 105.0, 103.0])) == (1.0, 1.0, 0.5)


def test_a_counter_gives_its_increase_and_nothing_across_a_gap() -> None:
    times, totals = np.array([99.0, 101.0, 103.0, 110.0]), np.array([0.0, 4.0, 6.0, 60.0])
    assert AXIS.slopes(times, totals, 3.0) == (1.5, None, None)
    assert AXIS.slopes(times[:1], totals[:1], 3.0) == (None, None, None)


def test_a_gauge_holds_its_last_reading_only_for_a_while() -> None:
    assert AXIS.last(np.array([101.0, 101.5]), np.array([5.0, 6.0]), 1.0) == (6.0, None, None)
    assert AXIS.last(np.array([101.0]), np.array([5.0]), 4.0) == (5.0, 5.0, None)


def test_the_jobs_of_a_case_on_its_time_axis(made: MadeRun) -> None:
    place = {"scenario": "single_request", "case": "n01"}
    jobs = [
        job(0, due=10.0, seconds=1.0, **place),
        job(1, due=11.0, seconds=2.0, **place, outcome=Outcome.FAILED, error="x"),
        job(2, due=13.0, seconds=1.0, **place, server=ServerTimes(inference=0.5), ended=14.0, accepted=13.0),
    ]
    run = only(made.run, "single_request")
    case = msgspec.structs.replace(run.scenarios[0].cases[0], started=10.0, ended=14.0)
    scenario = msgspec.structs.replace(run.scenarios[0], started=10.0, ended=14.0, cases=[case])
    found = case_timeline(
        evidence(made, run=msgspec.structs.replace(run, scenarios=[scenario]), jobs=jobs), "single_request", "n01", 4
    )
    assert found is not None
    assert (found.start, found.step, found.bins) == (10.0, 1, 4)
    assert values(found, "response_time", "p50") == (None, 1.0, None, 1.0)
    assert values(found, "jobs", "arrivals") == (1.0, 1.0, 0.0, 1.0)
    assert values(found, "jobs", "failures") == (0.0, 0.0, 0.0, 1.0)
    assert values(found, "in_flight", "in_flight") == pytest.approx((1.0, 1.0, 1.0, 1.0), abs=0.002)
    assert values(found, "queue", "waiting") == (0.0, 0.0, 0.0, 0.5)
    assert values(found, "queue", "in_work") == (0.0, 0.0, 0.0, 0.5)
    assert found.shades == (Shade("case", "single_request / n01", 0.0, 4.0),)


def test_cpu_and_memory_come_from_the_readings_and_have_gaps_where_none_were_made(made: MadeRun) -> None:
    first = made.run.scenarios[0].cases[0].started
    assert first is not None
    readings = [
        UsageSample(at=first + i / 2, parts={Part.SERVICE: PartUsage(cpu=i * 0.25, memory=2_000_000, processes=1)})
        for i in range(9)
    ]
    shown = replace(evidence(made), usage=UsageSamples.of(readings))
    found = run_timeline(shown)
    assert found is not None
    cpu, memory = values(found, "cpu", "service"), values(found, "memory", "service")
    assert {value for value in cpu if value is not None} == {0.5}
    assert {value for value in memory if value is not None} == {2.0}
    assert cpu[-1] is None
    assert memory[-1] is None


def test_the_whole_run_has_every_scenario_and_fault_in_its_shades(made: MadeRun) -> None:
    found = run_timeline(evidence(made))
    assert found is not None
    assert [shade.name for shade in found.shades if shade.kind == "scenario"] == [s.name for s in made.run.scenarios]
    assert len([shade for shade in found.shades if shade.kind == "fault"]) == len(made.run.faults)
    completed = [job for job in made.jobs if job.outcome is Outcome.COMPLETED]
    total = sum(value or 0.0 for value in values(found, "jobs", "completions")) * found.step
    assert total == pytest.approx(len(completed), rel=0.01)


def test_the_figure_of_a_dimension_is_named_after_it_and_has_its_scenarios(made: MadeRun) -> None:
    section = over_time.section(evidence(made), Dimension.PERFORMANCE)
    assert section is not None
    (chart,) = section.blocks
    assert isinstance(chart, Chart)
    assert chart.name == "performance_over_time"
    wanted = {s.name for s in made.run.scenarios if s.dimension == "performance"}
    assert wanted <= {band.name for band in chart.bands}
    assert [panel.y_label for panel in chart.panels][:3] == ["Response [s]", "Jobs/s", "In flight"]


def test_a_dimension_without_scenarios_has_no_time_axis(made: MadeRun) -> None:
    run = msgspec.structs.replace(made.run, scenarios=[s for s in made.run.scenarios if s.dimension == "performance"])
    assert dimension_timeline(evidence(made, run=run), "resources") is None


def test_the_data_are_written_in_the_agreed_format() -> None:
    timeline = Timeline(
        5.0,
        1.0,
        (TimePanel("jobs", "Jobs", "jobs/s", (TimeSeries("a", "A", (1.0, None)),)),),
        (Shade("fault", "f", 0.0, 1.5),),
    )
    assert json.loads(msgspec.json.encode(timeline)) == {
        "start": 5.0,
        "step": 1.0,
        "panels": [
            {
                "id": "jobs",
                "title": "Jobs",
                "unit": "jobs/s",
                "series": [{"id": "a", "name": "A", "values": [1.0, None]}],
            }
        ],
        "shades": [{"kind": "fault", "name": "f", "from": 0.0, "to": 1.5}],
    }
