from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelbench.loadgen.plan.budget import BREADTH, BudgetError, Cost, Fitted, fit, lasting, needs_calibration
from reelbench.loadgen.plan.plan import plan_run
from reelbench.loadgen.plan.row import Ask
from reelbench.loadgen.plan.scenario import Scenario
from reelbench.loadgen.plan.scenario_file import MLPERF_FOLDER, load_folder
from reelbench.loadgen.plan.search import expanded
from tests.loadgen.harness import case, open_case, scenario

SHIPPED = [expanded(scenario, "quick") for scenario in load_folder().values()]


def fitted(*scenarios: Scenario, job_seconds: float, budget: float) -> Fitted:
    return fit(scenarios, "quick", job_seconds=job_seconds, budget=budget, interval=1.0)


def sizes(found: Fitted) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (one.name, level.name): (level.iterations.quick, level.warmup.quick)
        for one in found.scenarios
        for level in one.cases
    }


def test_a_fast_server_gets_the_whole_profile() -> None:
    whole = scenario(cases=[case("n01", 1, 20, 1), case("n05", 5, 30, 5)])
    found = fitted(whole, job_seconds=0.1, budget=60)
    assert sizes(found) == {("trial", "n01"): (20, 1), ("trial", "n05"): (30, 5)}
    assert found.seconds == pytest.approx(5.6)
    assert (found.jobs, found.left_out) == (56, ())


def test_a_slow_server_gets_fewer_jobs_within_the_budget() -> None:
    whole = scenario(cases=[case("n01", 1, 40, 1)])
    found = fitted(whole, job_seconds=75, budget=1200)
    assert sizes(found) == {("trial", "n01"): (14, 1)}
    assert found.seconds == 15 * 75, "16 jobs take the whole budget: one slow job, and it is not kept"


def test_cases_that_do_not_fit_are_left_out_with_the_time_that_they_need() -> None:
    whole = scenario(cases=[case("n01", 1, 20, 1), case("n50", 50, 100)])
    found = fitted(whole, job_seconds=75, budget=1200)
    assert list(sizes(found)) == [("trial", "n01")]
    assert found.left_out == ("trial n50: needs 62.5 min, more than the budget leaves",)


def test_scenarios_of_the_lowest_rank_are_planned_first() -> None:
    first, last = (scenario(name=name, rank=rank, cases=[case(iterations=9)]) for name, rank in (("b", 1), ("a", 9)))
    found = fitted(last, first, job_seconds=10, budget=35)
    assert list(sizes(found)) == [("b", "n01")]


def test_an_arrival_rate_far_above_the_server_is_left_out() -> None:
    whole = scenario(cases=[case(), open_case(rate=6.0, seconds=5)])
    found = fitted(whole, job_seconds=75, budget=1200)
    assert [line for line in found.left_out if "6 jobs/s arrive, and a job took 75 s" in line]
    assert list(sizes(found)) == [("trial", "n01")]


def test_cases_with_repeated_prompts_stay_together_and_equally_long() -> None:
    pair = [case("new", 1, 20), case("known", 1, 20, prompts="repeated")]
    found = fitted(scenario(cases=pair), job_seconds=10, budget=110)
    assert sizes(found) == {("trial", "new"): (5, 0), ("trial", "known"): (5, 0)}
    least = fitted(scenario(cases=pair), job_seconds=10, budget=25)
    assert sizes(least) == {("trial", "new"): (1, 0), ("trial", "known"): (1, 0)}


def test_one_job_is_the_least_and_less_is_refused() -> None:
    whole = scenario(cases=[case("n01", 1, 20, 1)])
    assert sizes(fitted(whole, job_seconds=75, budget=80)) == {("trial", "n01"): (1, 0)}
    with pytest.raises(BudgetError, match=r"--budget: no case fits into the 70 s that are left after a job of 75 s"):
        fitted(whole, job_seconds=75, budget=70)


@settings(deadline=None, max_examples=40)
@given(job_seconds=st.floats(0.05, 600), budget=st.floats(1, 20_000))
def test_a_fitted_plan_keeps_the_budget_and_the_profile(job_seconds: float, budget: float) -> None:
    try:
        found = fit(SHIPPED, "quick", job_seconds=job_seconds, budget=budget, interval=1.0)
    except BudgetError:
        cheapest = min(
            Cost("quick", job_seconds, 1.0, 1).of(s, c, 0.0) for s in SHIPPED for c in s.cases if c.concurrency
        )
        assert cheapest > budget * BREADTH
        return
    assert found.seconds <= budget * (1 + 1e-9)
    full = {(s.name, c.name): (c.iterations.quick, c.concurrency) for s in SHIPPED for c in s.cases}
    for place, (measured, _) in sizes(found).items():
        most, users = full[place]
        assert min(most, users) <= measured <= most


def test_a_shortest_length_plans_as_many_jobs_as_last_so_long() -> None:
    whole = scenario(cases=[case("n01", 1, 64, 1, min_duration=600), case("n02", 2, 4)])
    assert needs_calibration([whole])
    assert not needs_calibration([scenario()])
    counts = [level.iterations.standard for level in lasting(whole, "standard", 3.0).cases]
    assert counts == [210, 4]
    slow = lasting(whole, "standard", 75.0)
    assert slow.cases[0].iterations.standard == 64


def test_the_scenarios_shaped_like_mlperf_ask_for_its_video() -> None:
    shaped = load_folder(MLPERF_FOLDER)
    jobs = plan_run(shaped.values(), "standard", 1)
    asked = Ask(num_frames=81, fps=16, num_inference_steps=20, seed=42)
    assert all((job.size, job.ask) == ("1280x720", asked) for job in jobs)
    assert {(name, len([job for job in jobs if job.scenario == name and not job.warmup])) for name in shaped} == {
        ("mlperf_offline", 248),
        ("mlperf_single_stream", 64),
    }
