from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelbench.loadgen.plan.arrivals import arrivals
from reelbench.loadgen.plan.plan import plan_case, plan_run, to_bytes
from reelbench.loadgen.plan.scenario import Case
from tests.loadgen.harness import case, open_case, scenario

RATES = st.decimals(min_value="0.5", max_value="80", places=2).map(float)
LENGTHS = st.integers(min_value=2, max_value=20)
BURSTS = st.one_of(st.none(), st.tuples(RATES, st.integers(1, 5), st.integers(1, 5)))


def made(process: str, rate: float, seconds: int, warmup: int = 0, burst: tuple[float, int, int] | None = None) -> Case:
    more: dict[str, Any] = {}
    if burst is not None:
        high, at, length = burst
        more = {"burst": {"rate": high, "at": same(at), "seconds": same(length)}}
        seconds += at + length
    return Case.model_validate(open_case(rate=rate, seconds=seconds, warmup=warmup, arrivals=process, **more))


def same(value: int) -> dict[str, int]:
    return {"quick": value, "standard": value, "paper": value}


def length_of(spec: Case) -> int:
    assert spec.seconds is not None
    return spec.seconds.quick


@given(st.sampled_from(["constant", "poisson"]), RATES, LENGTHS, st.integers(0, 3), BURSTS)
def test_arrivals_are_in_order_and_within_the_case(
    process: str, rate: float, seconds: int, warmup: int, burst: tuple[float, int, int] | None
) -> None:
    spec = made(process, rate, seconds, warmup, burst)
    dues = arrivals(spec, "quick", f"{rate}:{seconds}")
    assert list(dues) == sorted(dues)
    assert all(-warmup <= due < length_of(spec) for due in dues)


@given(RATES, LENGTHS, st.integers(0, 3), BURSTS)
def test_constant_arrivals_have_the_exact_count(
    rate: float, seconds: int, warmup: int, burst: tuple[float, int, int] | None
) -> None:
    spec = made("constant", rate, seconds, warmup, burst)
    base = Fraction(str(rate))
    parts = [(base, warmup), (base, seconds)]
    if burst is not None:
        parts = [(base, warmup), (base, burst[1]), (Fraction(str(burst[0])), burst[2]), (base, seconds)]
    assert len(arrivals(spec, "quick", "")) == sum(math.ceil(each * length) for each, length in parts)


def test_constant_arrivals_are_evenly_spaced_without_rounding_drift() -> None:
    assert arrivals(made("constant", 0.1, 30, warmup=10), "quick", "") == (-10.0, 0.0, 10.0, 20.0)
    assert arrivals(made("constant", 3, 1), "quick", "") == (0.0, 0.333333, 0.666666)
    assert len(arrivals(made("constant", 0.3, 10), "quick", "")) == 3  # 0.3 * 10 is above 3 in some roundings


def test_the_base_rate_returns_after_a_burst() -> None:
    dues = arrivals(made("constant", 2, 2, burst=(8, 1, 1)), "quick", "")
    assert dues == (0.0, 0.5, 1.0, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875, 2.0, 2.5, 3.0, 3.5)


@pytest.mark.parametrize("place", ["1:a", "2:a", "1:b"])
def test_poisson_arrivals_have_the_expected_mean_and_variance(place: str) -> None:
    dues = arrivals(made("poisson", 40, 500), "quick", place)
    n, expected = len(dues), 40 * 500
    assert abs(n - expected) < 4 * math.sqrt(expected)
    counts = [0] * 500
    for due in dues:
        counts[int(due)] += 1
    mean = n / 500
    dispersion = sum((count - mean) ** 2 for count in counts) / 499 / mean
    assert abs(dispersion - 1) < 4 * math.sqrt(2 / 499)  # a Poisson count has a variance equal to its mean
    gaps = [after - before for before, after in pairwise(dues)]
    average = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - average) ** 2 for gap in gaps) / len(gaps))
    assert deviation / average == pytest.approx(1, abs=0.05)  # of exponential gaps; of even ones it is 0
    assert sum(gap > average for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.02)


@settings(deadline=None)  # the plan of a high rate takes its time
@given(st.integers(0, 2**31), RATES)
def test_arrivals_depend_on_the_seed_only(seed: int, rate: float) -> None:
    spec = scenario(cases=[open_case(rate=rate, seconds=10, arrivals="poisson")])
    bytes_of = [to_bytes(plan_run([spec], "quick", number)) for number in (seed, seed, seed + 1)]
    assert bytes_of[0] == bytes_of[1]
    assert bytes_of[0] != bytes_of[2]


def test_the_arrivals_of_a_case_do_not_depend_on_other_cases() -> None:
    ours = open_case("ours", rate=7, seconds=6, warmup=2, arrivals="poisson")
    alone = scenario(cases=[ours])
    among = scenario(cases=[open_case("first", rate=30, seconds=9, arrivals="poisson"), case(iterations=4), ours])
    dues = [job.intended_start for job in plan_case(alone, alone.cases[0], "quick", 3)]
    assert dues == [job.intended_start for job in plan_run([among], "quick", 3) if job.case == "ours"]
    assert dues != [job.intended_start for job in plan_run([among], "quick", 3) if job.case == "first"][: len(dues)]


def test_cases_with_equal_rates_have_different_arrivals() -> None:
    spec = scenario(cases=[open_case(name, rate=20, seconds=5, arrivals="poisson") for name in ("a", "b")])
    first, second = ([job.intended_start for job in plan_case(spec, level, "quick", 1)] for level in spec.cases)
    assert first[:20] != second[:20]


def test_warm_up_arrivals_precede_the_start_and_closed_cases_have_no_arrivals() -> None:
    spec = scenario(cases=[open_case(rate=4, seconds=2, warmup=1), case("closed", iterations=2)])
    jobs = plan_run([spec], "quick", 1)
    assert [(job.index, job.warmup, job.intended_start) for job in jobs[:6]] == [
        (0, True, -1.0), (1, True, -0.75), (2, True, -0.5), (3, True, -0.25), (4, False, 0.0), (5, False, 0.25),
    ]  # fmt: skip
    assert [job.intended_start for job in jobs[12:]] == [None, None]
