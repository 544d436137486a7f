from __future__ import annotations

import statistics
from pathlib import Path

import msgspec
import pytest

from reelbench.bench.generators import BenchError
from reelbench.bench.watching import EARLY, ENDS, JOBS, LATE, LEVELS, Suite, compared, ends, lines, write_scenarios
from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.reporting.evidence.prometheus import Line
from tests.data_helper import job


def load(scenario: str, factor: float) -> list[JobRecord]:
    """The jobs of one added scenario; their response times differ from job to job."""
    return [
        job(n, scenario=scenario, case=f"n{users:02}", seconds=factor * (0.3 + 0.1 * users + n / 1000))
        for users, count in LEVELS.items()
        for n in range(count)
    ]


def series(name: str, values: dict[str, list[float]]) -> tuple[Line, ...]:
    return tuple(
        Line({"__name__": name, "job": component}, tuple((float(n), repr(value)) for n, value in enumerate(each)))
        for component, each in values.items()
    )


def test_the_added_scenarios_differ_in_their_name_alone(tmp_path: Path) -> None:
    write_scenarios(tmp_path / "scenarios")
    early, late = load_folder(tmp_path / "scenarios").values()
    assert (early.name, late.name) == (EARLY, LATE)
    assert early.model_copy(update={"name": LATE}) == late
    assert {case.concurrency: case.iterations.quick for case in early.cases} == LEVELS


def test_scrapes_of_both_ends_are_read_without_those_that_found_nothing() -> None:
    counts = {component: [0.0, *range(100, 150), 0.0] for component in JOBS}
    seconds = {component: [9.0, *(n / 1000 for n in range(50)), 9.0] for component in JOBS}
    found = ends(series("scrape_duration_seconds", seconds), series("scrape_samples_scraped", counts))
    assert [(one.job, one.end, one.samples[0], one.samples[-1], max(one.seconds)) for one in found] == [
        part
        for component in JOBS
        for part in ((component, "first", 100, 119, 0.019), (component, "last", 130, 149, 0.049))
    ]
    short = {component: [1.0] * (2 * ENDS - 1) for component in JOBS}
    with pytest.raises(BenchError, match=r"^service was scraped 39 times, fewer than 40 times$"):
        ends(series("scrape_duration_seconds", short), series("scrape_samples_scraped", short))


def test_equal_response_times_do_not_differ_and_longer_ones_do() -> None:
    same = compared([*load(EARLY, 1.0), *load(LATE, 1.0)], [])
    slower = compared([*load(EARLY, 1.0), *load(LATE, 1.2)], [])
    for one, other, users in zip(same, slower, LEVELS, strict=True):
        assert (one.in_flight, len(one.early)) == (users, LEVELS[users])
        value, interval = one.ratio
        assert (one.p, value) == (1.0, 1.0)
        assert interval.lower is not None
        assert interval.upper is not None
        assert interval.lower < 1.0 < interval.upper
        value, interval = other.ratio
        assert value == pytest.approx(1.2)
        assert interval.lower is not None
        assert other.p < 1e-6
        assert interval.lower > 1.0
        median = statistics.median_low(other.early)
        rows = [line.split() for line in lines([Suite((), tuple(slower))])]
        assert [row[2] for row in rows if row[:2] == ["1", str(users)]] == [f"{median:.3f}"]


def test_several_suites_are_compared_by_their_medians_beside_the_speed_of_the_machine() -> None:
    jobs = [*load(EARLY, 1.0), *load(LATE, 1.0)]
    suites = []
    for factor, begin in ((1.1, 100.0), (1 / 1.1, 200.0)):
        late = [
            msgspec.structs.replace(one, due=begin, sent=begin, done=begin + (one.done - one.due))
            for one in load(LATE, factor)
        ]
        pieces = [(10.1, 0.002), (begin + 0.1, 0.003)]
        suites.append(Suite((), tuple(compared([*jobs[: len(jobs) // 2], *late], pieces))))
    found = lines(suites)
    rows = [line.split() for line in found if line[:1] in {"1", "2"} and "suites" not in line]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        (suite, str(users), "1.500") for suite in ("1", "2") for users in LEVELS
    ]
    together = [line for line in found if line.startswith("2 suites, ")]
    assert [line.partition(": ")[2].partition(" (")[0] for line in together] == ["late / early 1.000"] * len(LEVELS)
    assert all("95 % interval 0." in line for line in together)


def test_warm_up_is_left_out_and_a_lost_job_is_no_measurement() -> None:
    jobs = [*load(EARLY, 1.0), *load(LATE, 1.0)]
    warm = job(0, scenario=EARLY, case="n01", seconds=99.0, warmup=True)
    assert max(compared([*jobs, warm], [])[0].early) < 1.0
    jobs[0] = msgspec.structs.replace(jobs[0], outcome=Outcome.FAILED)
    with pytest.raises(BenchError, match=r"^39 of 40 jobs of watching_early were completed; run it again$"):
        compared(jobs, [])
