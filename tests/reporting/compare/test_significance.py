from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pytest
from scipy import special, stats

from reelbench.reporting.statistics import significance


def a12_by_hand(run: list[float], baseline: list[float]) -> float:
    return sum((x > y) + (x == y) / 2 for x in run for y in baseline) / (len(run) * len(baseline))


def test_the_rank_test_equals_a_count_of_all_arrangements() -> None:
    run, baseline = [1.1, 2.2, 3.3, 9.0], [4.4, 5.5, 6.6, 7.7, 8.8]
    found = significance.rank_test(run, baseline)
    u = a12_by_hand(run, baseline) * 20
    pool = run + baseline
    others = [
        sum(x > y for x in chosen for y in set(pool) - set(chosen)) for chosen in combinations(pool, len(run))
    ]  # fmt: skip
    extreme = min(u, 20 - u)
    assert found.p == pytest.approx(2 * sum(other <= extreme for other in others) / len(others))
    assert found.a12 == pytest.approx(u / 20)

    run, baseline = [1.0, 2.0, 2.0, 5.0], [2.0, 3.0, 1.0]  # ties count half
    assert significance.rank_test(run, baseline).a12 == pytest.approx(a12_by_hand(run, baseline))
    assert significance.rank_test([2.0] * 5, [2.0] * 5) == significance.Rank(1.0, 0.5)


def test_full_separation_has_the_smallest_p_of_a_rank_test() -> None:
    for n, p in ((3, 0.1), (4, 0.0286), (5, 0.0079)):
        low, high = [float(i) for i in range(n)], [float(100 + i) for i in range(n)]
        assert significance.reachable(n, n) == pytest.approx(significance.rank_test(low, high).p)
        assert significance.reachable(n, n) == pytest.approx(p, abs=5e-5)


def test_benjamini_hochberg_reproduces_the_published_example() -> None:
    # Benjamini and Hochberg (1995), section 4.1: at 0.05 their procedure rejects the first four of fifteen.
    ps = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
          0.7590, 1.0]  # fmt: skip
    found = significance.corrected(ps)
    assert [p <= 0.05 for p in found] == [True] * 4 + [False] * 11
    assert found[3] == pytest.approx(0.0095 * 15 / 4)
    assert significance.corrected([]) == []


def test_fishers_exact_test_reproduces_the_lady_tasting_tea() -> None:
    # 3 of 4 and 1 of 4: probability of this table and all less likely ones is (16 + 1 + 16 + 1) / 70
    assert significance.fisher_p((3, 4), (1, 4)) == pytest.approx(34 / 70)


def test_welchs_test_reproduces_the_sleep_data() -> None:
    # Student's data on sleep (1908): t = -1.8608 with 17.78 degrees of freedom, p = 0.0794
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    p, interval = significance.welch(first, second)
    assert p == pytest.approx(0.07939, abs=5e-6)
    assert (interval.lower, interval.upper) == pytest.approx((-3.3654832, 0.2054832), abs=5e-7)

    # constant values have the p of their arrangements
    assert significance.welch([1.0] * 4, [2.0] * 4)[0] == pytest.approx(2 / math.comb(8, 4))
    assert significance.welch([1.0] * 4, [1.0] * 4)[0] == 1.0


def test_one_against_many_is_the_crawford_howell_test() -> None:
    # Crawford and Howell: t = (x - mean) / (s sqrt((n + 1) / n)); here (16 - 10) / (2 sqrt(6 / 5))
    many = [10 + 2 * z * math.sqrt(4 / 4) for z in (-1.0, 1.0, -1.0, 1.0, 0.0)]
    t = 6 / (float(np.std(many, ddof=1)) * math.sqrt(6 / 5))
    p, interval = significance.one_against(16.0, many)
    assert p == pytest.approx(2 * (1 - special.stdtr(4, t)))
    assert interval.lower is not None
    assert interval.upper is not None
    assert (interval.lower + interval.upper) / 2 == pytest.approx(6.0)
    assert (interval.upper - 6) == pytest.approx(6 / t * special.stdtrit(4, 0.975))


def quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[max(math.ceil(q * len(values) - 1e-9) - 1, 0)]


def over_all_divisions(run: Sequence[float], baseline: Sequence[float], q: float) -> float:
    """The share of all divisions of the pool whose quantiles differ at least as much, by enumeration."""
    pool = [*run, *baseline]
    observed = abs(quantile(run, q) - quantile(baseline, q)) * (1 - 1e-12)
    found = []
    for chosen in combinations(range(len(pool)), len(run)):
        mine = [pool[at] for at in chosen]
        theirs = [pool[at] for at in range(len(pool)) if at not in chosen]
        found.append(abs(quantile(mine, q) - quantile(theirs, q)) >= observed)
    return sum(found) / len(found)


def test_the_quantile_test_equals_a_count_of_all_divisions() -> None:
    rng = np.random.default_rng(1)
    for q, n, m in product((0.2, 0.5, 0.95), (1, 2, 5, 6), (1, 3, 6)):
        run, baseline = (np.round(rng.normal(at, 1, size), 1).tolist() for at, size in ((0, n), (0.8, m)))  # with ties
        found = significance.permutation_p(run, baseline, q)
        assert found == pytest.approx(over_all_divisions(run, baseline, q), abs=1e-10)
        assert significance.permutation_p(baseline, run, q) == pytest.approx(found, abs=1e-10)


def test_the_median_permutation_test_equals_scipys() -> None:
    rng = np.random.default_rng(5)
    run, baseline = rng.lognormal(0.0, 0.5, 30), rng.lognormal(0.35, 0.5, 25)

    def statistic(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        high, low = (np.quantile(v, 0.5, axis=axis, method="inverted_cdf") for v in (x, y))
        return np.abs(high - low)

    expected = stats.permutation_test(
        (run, baseline), statistic, n_resamples=9999, vectorized=True, alternative="greater", rng=1
    )
    found = significance.permutation_p(list(run), list(baseline), 0.5)
    assert found == pytest.approx(expected.pvalue, abs=0.01)
    assert 0.001 < found < 0.5
    assert significance.permutation_p(list(reversed(run)), list(baseline), 0.5) == found
    low, high = [i / 100 for i in range(100)], [5 + i / 100 for i in range(100)]
    assert 0 < significance.permutation_p(low, high, 0.95) < 1e-12, "never zero"


def test_cohens_h_equals_the_published_table() -> None:
    # Cohen (1988), table 6.2.2: phi is 1.875 for 0.65, 1.471 for 0.45, 3.142 for 1
    assert significance.cohens_h(0.65, 0.45) == pytest.approx(1.875 - 1.471, abs=0.001)
    assert significance.cohens_h(0.45, 1.0) == pytest.approx(1.471 - 3.142, abs=0.001)
