"""The search for the knee: its rates, its order, the mistakes in its file, and the error rates of its rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import yaml

from reelbench.bench.knee import rates as error_rates
from reelbench.loadgen.drive import runner
from reelbench.loadgen.drive.rate_search import RateSearch, expected
from reelbench.loadgen.plan.scenario import PROFILES
from reelbench.loadgen.plan.scenario_file import FOLDER, ScenarioError, load_file, load_folder
from reelbench.loadgen.plan.search import expanded
from reelbench.loadgen.record.jobs import JobRecord, read_jobs
from reelbench.loadgen.record.rate_rule import RateFindings, Result
from reelbench.loadgen.record.run import read_run
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import open_case, scenario
from tests.loadgen.test_runner import run_on


def test_the_rates_of_the_ramp_are_planned_before_the_run() -> None:
    cases = expanded(load_folder()["ramp"], "quick").cases
    assert [case.name for case in cases][3:5] == ["rate_12_2", "rate_16_5"]
    assert [case.rate.quick for case in cases if case.rate] == [5, 6.74, 9.09, 12.2, 16.5, 22.3, 30]
    for profile in PROFILES:
        for case in expanded(load_folder()["ramp"], profile).cases:
            assert case.rate is not None
            assert case.seconds is not None
            search = load_folder()["ramp"].search
            assert search is not None
            assert case.rate.of(profile) * case.seconds.of(profile) >= search.jobs.of(profile)


@pytest.mark.parametrize("capacity", range(8))
def test_three_results_find_the_knee_among_seven_rates(capacity: int) -> None:
    search = RateSearch(7)
    tried = {}
    while (rate := search.next()) is not None:
        tried[rate] = Result.HOLDS if rate < capacity else Result.FAILS
        search.learn(rate, tried[rate])
    assert len(tried) == 3
    assert max((rate for rate, result in tried.items() if result is Result.HOLDS), default=-1) == capacity - 1


@pytest.mark.parametrize(("first", "most"), [(4, 2), (3, 3), (5, 3)])
def test_a_search_that_begins_near_the_knee_needs_its_two_sides(first: int, most: int) -> None:
    """Rates 0 to 4 hold: one result each side of the knee is the answer."""
    search = RateSearch(7, first)
    order = []
    while (rate := search.next()) is not None:
        order.append(rate)
        search.learn(rate, Result.HOLDS if rate <= 4 else Result.FAILS)
    assert order[0] == first
    assert {4, 5} <= set(order)
    assert len(order) <= most


@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("capacity", range(8))
def test_a_wrong_first_rate_costs_rates_but_not_the_knee(first: int, capacity: int) -> None:
    search = RateSearch(7, first)
    held = []
    for _ in range(7):
        if (rate := search.next()) is None:
            break
        held += [rate] if rate < capacity else []
        search.learn(rate, Result.HOLDS if rate < capacity else Result.FAILS)
    assert search.next() is None
    assert max(held, default=-1) == capacity - 1


def test_the_first_rate_is_the_nearest_to_what_closed_cases_completed() -> None:
    rates = (5, 6.74, 9.09, 12.2, 16.5, 22.3, 30)

    def closed(name: str, jobs: int, seconds: float, pace: float | None = None) -> Mock:
        case = Mock(model="closed", planned=jobs, started=10.0, ended=10.0 + seconds, pace=pace)
        case.name = name
        return case

    def guess(*cases: Mock, faults: tuple[Mock, ...] = ()) -> int | None:
        made = Mock(dimension="performance", cases=cases)
        made.name = "load"
        return expected(rates, Mock(scenarios=[made], faults=faults))

    few, many, paced = closed("few", 50, 5.0), closed("many", 80, 5.0), closed("paced", 900, 5.0, pace=0.1)
    assert guess(few, many, paced) == 4, "16 jobs/s"
    assert guess(few) == 2, "10 jobs/s"
    assert guess(paced) is None
    assert guess(few, many, faults=(Mock(scenario="load", case="many"),)) == 2
    assert guess(few, Mock(model="closed", started=None, ended=None, pace=None)) == 2, "a case that has not begun"


def test_a_rate_without_a_result_is_left_out_and_its_neighbour_is_tried() -> None:
    search = RateSearch(7)
    order = []
    while (rate := search.next()) is not None:
        order.append(rate)
        late = rate == 3
        search.learn(rate, Result.INCONCLUSIVE if late else Result.HOLDS if rate < 4 else Result.FAILS)
    assert order == [3, 2, 4]


def test_all_mistakes_of_a_search_are_reported_together(tmp_path: Path) -> None:
    raw = yaml.safe_load((FOLDER / "ramp.yaml").read_text(encoding="utf-8")) | {"name": "mine"}
    raw["search"] |= {"lowest": 20, "highest": 10}
    warmup = {"quick": 0, "standard": 0, "paper": 0}
    other = {**raw["cases"][0], "name": "other", "seconds": {"quick": 6, "standard": 6, "paper": 6}}
    raw["cases"] = [raw["cases"][0] | {"rate": 6, "warmup_seconds": warmup}, other]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_file(path)
    assert caught.value.errors == (
        "mine.yaml: search: needs one case, which is run at every rate; keep one in cases",
        "mine.yaml: cases.0.rate: does not go with search, which sets the rate; remove it",
        "mine.yaml: search.highest: is 10, not above lowest (20); make it higher",
    )


def test_error_rates_of_the_rule_at_the_shortest_length() -> None:
    # docs/statistics.md has the figures of more repetitions; these are 100, with a margin.
    row = error_rates(np.random.default_rng(5), "quick", 8, 10.0, 100, "constant")
    assert row.jobs == 180
    assert row.false_alarm.value <= 0.05
    assert row.power.value >= 0.93


@pytest.mark.extended
@pytest.mark.parametrize(
    ("capacity", "sent"),
    [(100, ["40", "80"]), (30, ["20", "40"])],
    ids=["the middle rate holds", "the middle rate fails"],
)
async def test_the_runner_sends_the_rates_that_decide_and_records_the_others_as_not_needed(
    capacity: float, sent: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(jobs: Sequence[JobRecord], *, offered: int, seconds: float, **_: object) -> RateFindings:
        assert len(jobs) == offered  # the rule judges the jobs of this case alone
        found = Mock(spec=RateFindings, late=False)
        found.result = Result.HOLDS if offered / seconds <= capacity else Result.FAILS
        return found

    monkeypatch.setattr(runner, "judge", judged)
    case = {key: value for key, value in open_case("rate").items() if key != "rate"}
    per_profile = dict.fromkeys(PROFILES, 3)
    search = {"lowest": 20, "highest": 80, "rates": per_profile, "jobs": dict.fromkeys(PROFILES, 20)}
    spec = expanded(scenario(cases=[case], search=search), "quick")
    async with serving(FakeTarget()) as fake:
        await run_on(fake.url, tmp_path, [spec])
    cases = read_run(tmp_path).scenarios[0].cases
    assert [case.name for case in cases] == ["rate_20", "rate_40", "rate_80"]
    assert [case.name.removeprefix("rate_") for case in cases if not case.not_needed] == sent
    ended = Counter(job.case for job in read_jobs(tmp_path))
    assert ended == {f"rate_{rate}": int(rate) for rate in sent}
    assert [case.started is None for case in cases] == [case.not_needed for case in cases]
