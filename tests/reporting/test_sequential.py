"""The test at several looks: its level, its error over all looks, and the correction of a family."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reelbench.reporting.statistics.sequential import holm, nominal_level, paired


def test_the_level_of_one_look_is_alpha() -> None:
    assert nominal_level((6,), 0.05) == pytest.approx(0.05, rel=0.03)


def test_more_looks_need_a_smaller_level_and_never_less_than_bonferroni() -> None:
    levels = [nominal_level(looks, 0.05) for looks in ((4,), (4, 6), (4, 6, 8, 10, 12))]
    assert levels == sorted(levels, reverse=True)
    assert 0.05 / 5 < levels[-1] == pytest.approx(0.0158, rel=0.05)


def test_equal_sides_differ_at_any_look_in_alpha_of_all_comparisons() -> None:
    looks = (4, 6, 8, 10, 12)
    level = nominal_level(looks, 0.05)
    drawn = np.random.default_rng(7).standard_normal((4_000, looks[-1]))
    found = sum(any(paired(list(row[:n]), level).p <= level for n in looks) for row in drawn[:1_000])
    assert found / 1_000 == pytest.approx(0.05, abs=0.02)


def test_a_look_is_the_paired_t_test_with_its_interval_at_the_level() -> None:
    differences = [0.082, 0.075, 0.091, 0.079]
    found = paired(differences, 0.01)
    known = stats.ttest_1samp(differences, 0.0)
    limits = known.confidence_interval(0.99)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.interval.lower, found.interval.upper) == pytest.approx((limits.low, limits.high))


def test_pairs_without_a_difference_and_pairs_that_agree_by_their_steps() -> None:
    alike = paired([0.0] * 4, 0.01)
    assert (alike.p, alike.interval.lower, alike.interval.upper) == (1.0, 0.0, 0.0)
    one_job_less = paired([-0.05] * 4, 0.01, least_spread=0.025)
    assert one_job_less.p == pytest.approx(0.028, abs=0.001)
    assert paired([-1.0] * 4, 0.01, least_spread=0.025).p < 1e-5


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
