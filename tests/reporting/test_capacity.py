"""Capacity: one statement that reconciles the ramp, the closed levels and the scalability law."""

from __future__ import annotations

import pytest

from reelbench.loadgen.record.rate_rule import Result
from reelbench.reporting.analysis.capacity import LIMITS, Knee, Step, knee
from reelbench.reporting.analysis.capacity_limits import rate_limits
from reelbench.reporting.analysis.load_levels import Level
from reelbench.reporting.sections.performance.capacity import Capacity, sentence
from reelbench.reporting.statistics import usl
from reelbench.reporting.statistics.intervals import Interval
from tests.reporting.made_open import case_of, even, jobs_of, queue
from tests.reporting.made_run import MadeRun
from tests.reporting.test_open_loop import ramp


def closed(rate: float, level: int = 20) -> Level:
    return Level("concurrent_load", f"n{level}", level, None, None, rate, None, None, None, None, None)


def of(made: MadeRun, *rates: int) -> Knee:
    found = knee(ramp(made, *rates), "ramp")
    assert found is not None
    return found


def test_the_rate_of_independent_users_is_the_capacity(made: MadeRun) -> None:
    found = of(made, 6, 12, 18, 24)  # the queue of the made service ends 20 jobs a second
    said = sentence(Capacity(18, closed(19.6), found, contradicts=False))
    assert said.startswith("Capacity: **18 jobs/s** for independent users (P95 0.400 s, n = 360; success and P95")
    assert "; 24 jobs/s does not hold)." in said
    assert said.endswith(
        "The closed loop completes up to 19.60 jobs/s at 20 in flight, where jobs wait for each other."
    )


def test_a_rate_that_was_never_completed_is_no_capacity(made: MadeRun) -> None:
    said = sentence(Capacity(9.0, closed(9.0), of(made, 6, 12, 18), contradicts=True))
    assert said == (
        "Capacity: at most **9.00 jobs/s**. The ramp seems to hold 18 jobs/s, more than the closed loop ever completed "
        "(9.00 jobs/s at 20 in flight): its cases are too short to show a backlog."
    )


def test_without_a_rate_that_holds_the_capacity_is_below_the_lowest(made: MadeRun) -> None:
    said = sentence(Capacity(0.0, closed(19.6), of(made, 24, 30), contradicts=False))
    assert said.startswith("Capacity: **below 24 jobs/s** for independent users")


@pytest.mark.parametrize(
    ("rates", "limits"),
    [((6, 12, 18), Interval(18, None)), ((6, 12, 18, 24), Interval(18, 24)), ((24, 30), Interval(0.0, 24))],
)
def test_the_interval_of_the_sustained_rate(made: MadeRun, rates: tuple[int, ...], limits: Interval) -> None:
    assert rate_limits(of(made, *rates)) == limits


def test_a_short_ramp_proves_nothing_that_holds(made: MadeRun) -> None:
    arrivals = even(6, 2)
    jobs = jobs_of("ramp", "r06", arrivals, queue(arrivals))
    assert len(jobs) == 12  # as in the profile quick: P95 has no upper limit
    long = of(made, 6)
    case = long.steps[0].case
    case = type(case)(case.scenario, case.case, case.load, case.started, 12, case.jobs[:12])
    short = Step(case, case.findings(LIMITS))
    assert short.result is Result.HOLDS
    assert rate_limits(Knee((short,))) == Interval(0.0, None)
    assert case_of("r06", 12, 2, 6).planned == 12


def test_the_peak_of_the_law_needs_six_levels() -> None:
    xs = (1.0, 5.0, 10.0, 20.0, 50.0)
    assert usl.peak_range(xs, [2.0, 8.0, 13.0, 17.0, 16.0]) is None
    levels = (1.0, 5.0, 10.0, 20.0, 35.0, 50.0)
    law = [3 * n / (1 + 0.05 * (n - 1) + 0.001 * n * (n - 1)) for n in levels]
    exact = usl.peak_range(levels, law)
    assert exact is not None
    assert exact.most is not None
    assert (exact.least, exact.most) == pytest.approx((30.8, 30.8), abs=0.1)
