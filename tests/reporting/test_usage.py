"""Figures of CPU and memory from made readings whose cost is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reelbench.bench.usage_error import REST, SCENARIO, Simulated, errors, evidence_of, figures
from reelbench.loadgen.record.processes import Part, PartUsage, UsageSample
from reelbench.reporting.analysis.cpu_usage import idle, job_cpu, utilisation, whole_utilisation
from reelbench.reporting.analysis.leak import leak
from reelbench.reporting.analysis.process_usage import MEDIA, SERVICE, cpu, memory
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.process_samples import Source
from reelbench.reporting.evidence.usage_samples import UsageSamples
from reelbench.reporting.statistics import block_estimate
from reelbench.reporting.statistics.block_estimate import Estimated
from reelbench.reporting.statistics.trend import trend

START = 1_790_000_000.0
Value = Callable[[float], float]


def made(cpu: Value, held: Value, *, jobs: int = 10, seconds: float = 0.5, step: float = 0.05) -> Evidence:
    """Jobs one after the other from time 0 on; CPU and memory of the service are functions of time."""
    end = jobs * seconds
    samples = [
        UsageSample(
            at=START + at,
            parts={
                Part.SERVICE: PartUsage(cpu=10.0 + cpu(at), memory=int(held(at)), processes=1),
                Part.WORKERS: PartUsage(cpu=1.0, memory=50_000_000, processes=2),
            },
        )
        for at in (-REST + step * number for number in range(int((end + 2 * REST) / step) + 1))
    ]
    return evidence_of(samples, [(START + n * seconds, START + (n + 1) * seconds) for n in range(jobs)])


def used(at: float) -> float:
    """0.1 cores without load, 0.2 more in the 5 s of the jobs: 0.1 s above idle for each of 0.5 s."""
    return 0.1 * at + 0.2 * min(max(at, 0.0), 5.0)


def test_cpu_per_job_is_above_what_is_used_directly_before_and_after_the_case() -> None:
    evidence = made(used, lambda _: 1e8)
    (case,) = evidence.run.scenarios[0].cases
    found, calm = job_cpu(evidence, SCENARIO, case), idle(evidence, SCENARIO, case)
    assert found is not None
    assert calm is not None
    assert found.value == pytest.approx(0.1)
    assert (found.interval.lower, found.interval.upper) == pytest.approx((0.1, 0.1), abs=1e-6)
    assert (found.jobs, found.blocks, found.source) == (10, 10, Source.READER)
    assert calm.cores.value == pytest.approx(0.1)
    assert (calm.cores.n, calm.around) == (8, True)
    share = utilisation(evidence, SCENARIO, case)
    assert share is not None
    assert share.share.value == pytest.approx(0.3 / 2)
    assert share.share.n == 10


def test_an_idle_use_that_differs_between_the_rests_widens_the_interval() -> None:
    evidence = made(lambda at: used(at) + 0.2 * max(at - 5.0, 0.0), lambda _: 1e8)
    (case,) = evidence.run.scenarios[0].cases
    found, calm = job_cpu(evidence, SCENARIO, case), idle(evidence, SCENARIO, case)
    assert found is not None
    assert calm is not None
    assert calm.cores.value == pytest.approx(0.2)  # 0.1 before, 0.3 after
    assert calm.cores.variance == pytest.approx(0.1**2)
    assert found.value == pytest.approx(0.05)
    assert found.interval.upper is not None
    assert found.interval.upper > 0.15


def test_only_the_parts_that_are_asked_for_are_added_up() -> None:
    evidence = made(used, lambda _: 1e8)
    (case,) = evidence.run.scenarios[0].cases
    service, both = (cpu(evidence, SCENARIO, case, *parts) for parts in ((SERVICE,), (SERVICE, MEDIA)))
    assert service is not None
    assert both is not None
    assert (service.seconds, both.seconds, both.length) == pytest.approx((1.5, 1.5, 5.0))
    held = memory(evidence, SCENARIO, case, SERVICE, MEDIA)
    assert held is not None
    assert (held.before, held.peak, held.after) == (1.5e8, 1.5e8, 1.5e8)
    assert held.n in {100, 101}
    assert cpu(evidence, SCENARIO, case, "providers") is None


def test_a_leak_of_a_megabyte_per_job_reads_as_one() -> None:
    evidence = made(used, lambda at: 1e8 + 1e6 * min(max(int(at / 0.5), 0), 24), jobs=24)
    found = leak(evidence, SCENARIO)
    assert found is not None
    assert found.trend.slope == pytest.approx(1e6)
    assert (found.trend.n, found.jobs, found.group) == (24, 24, 1)
    assert found.projected == pytest.approx(1e9)
    assert found.growth == pytest.approx(21e6 / 151e6)


def test_memory_that_a_job_frees_again_is_no_leak() -> None:
    evidence = made(used, lambda at: 1e8 + (2e7 if 0.2 < at % 0.5 < 0.4 else 0.0), jobs=24)
    found = leak(evidence, SCENARIO)
    assert found is not None
    assert (found.trend.slope, found.projected) == (0.0, 0.0)


def test_readings_with_a_hole_in_the_case_are_not_used() -> None:
    evidence = made(used, lambda _: 1e8, step=1.2)
    (case,) = evidence.run.scenarios[0].cases
    assert cpu(evidence, SCENARIO, case, SERVICE) is None
    assert memory(evidence, SCENARIO, case, SERVICE) is None


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # More runs are in docs/statistics.md.
    found = errors(Simulated(jobs=10, leak=1e6), 40)
    assert found.cpu_covered >= 0.85
    assert abs(found.cpu_bias) < 0.05
    assert found.leak_covered >= 0.75
    assert abs(found.leak_bias) < 0.1e6


def test_blocks_give_the_interval_of_students_t() -> None:
    found = block_estimate.mean([1.0, 2.0, 3.0])
    assert (found.value, found.n, found.variance) == (2.0, 3, pytest.approx(1 / 3))
    assert found.interval.upper == pytest.approx(2 + 4.302652730 * (1 / 3) ** 0.5)
    assert block_estimate.mean([1.0]).interval.upper is None
    each = block_estimate.ratio([2.0, 4.0], [1.0, 2.0])
    assert each is not None
    assert (each.value, each.variance) == (2.0, 0.0)
    assert block_estimate.ratio([1.0], [0.0]) is None
    # Welch and Satterthwaite: two equal variances of 3 and 3 degrees of freedom have 6.
    two = block_estimate.interval(0.0, [(1.0, Estimated(0.0, 4, 0.5)), (1.0, Estimated(0.0, 4, 0.5))])
    assert two.upper == pytest.approx(2.446911851)


def test_utilisation_of_levels_is_weighted_by_their_length_and_counts_blocks() -> None:
    evidence = made(used, lambda _: 1e8)
    (case,) = evidence.run.scenarios[0].cases
    level = utilisation(evidence, SCENARIO, case)
    assert level is not None
    whole, limits = whole_utilisation([level, level])
    assert (whole.value, whole.n) == (pytest.approx(0.15), 20)
    assert limits.upper == pytest.approx(0.15, abs=1e-6)


def test_a_series_that_remembers_has_a_wider_interval_and_an_independent_one_has_not() -> None:
    independent = [float(number * 7919 % 101) for number in range(40)]
    walk = [float(sum(independent[:number])) - 50.0 * number for number in range(40)]
    assert (free := trend(range(40), independent)) is not None
    assert (same := trend(range(40), independent, remembered=True)) is not None
    assert (narrow := trend(range(40), walk)) is not None
    assert (wide := trend(range(40), walk, remembered=True)) is not None
    assert same.inflation == pytest.approx(free.inflation, abs=0.5)
    assert wide.inflation > 1.5 * narrow.inflation


def test_no_readings_are_no_figures() -> None:
    with pytest.raises(ValueError, match="do not show"):
        figures(evidence_of([], [(START, START + 1.0)]))


def test_workers_that_were_never_seen_used_nothing() -> None:
    times = [START + 0.25 * number for number in range(9)]
    readings = UsageSamples.of(
        UsageSample(at=at, parts={Part.SERVICE: PartUsage(cpu=at - START, memory=7, processes=1)}) for at in times
    )
    case = (START + 0.25, START + 1.75, 0.3)
    assert readings.of_case("memory", *case, Part.WORKERS) == tuple((at, 0.0) for at in times)
    assert readings.of_case("memory", *case, Part.SERVICE, Part.WORKERS) == tuple((at, 7.0) for at in times)
    assert readings.of_case("cpu", *case, Part.PROVIDERS) is None
