"""Judgement of pairs: the test that fits the data, its result, and whether it is enough for a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from reelbench.reporting.analysis.baseline import NEGLIGIBLE_A12
from reelbench.reporting.catalogue.sli import Sli
from reelbench.reporting.compare.observation import Observation, identity
from reelbench.reporting.compare.records import Finding, Verdict
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics import significance
from reelbench.reporting.statistics.difference import NOWHERE, Estimate, difference, holds_zero, newcombe, relative
from reelbench.reporting.statistics.intervals import Interval, mean_interval
from reelbench.reporting.statistics.significance import ALPHA, reachable

NEGLIGIBLE_RELATIVE = 0.02
"""Limit for percentiles and for means of runs, relative to the baseline: link order or the size of the environment
alone moves a benchmark by this and more. T. Mytkowicz et al., ASPLOS 2009, doi 10.1145/1508244.1508275."""
NEGLIGIBLE_H = 0.2
"""Limit of |h| below which a difference is negligible: small by Cohen (1988)."""
LEAST_RUNS = 4

ONE_VALUE = "one value per run cannot be tested; use --repeat on both sides"
INVALID = "the load generator was the bottleneck"
HOLDS_ZERO = "the interval contains zero"
ALIKE = "all or none on both sides"
CONSTANT = "the same in every run"
EXACT = "exact"
"""Test of sides that each have one value in all runs, as counts of a seeded plan: more runs would add nothing."""


class Pair(msgspec.Struct, frozen=True):
    """An indicator in a place, with one observation for each run of either side."""

    sli: Sli
    place: Measurement
    run: tuple[Observation, ...]
    baseline: tuple[Observation, ...]
    invalid: bool
    """True when a load generator was the bottleneck here."""


class Tested(msgspec.Struct, frozen=True):
    """A pair after its test, before the correction."""

    run: float
    baseline: float
    n: tuple[int | None, int | None]
    interval: Interval = NOWHERE
    ratio: Interval = NOWHERE
    test: str | None = None
    p: float | None = None
    a12: float | None = None
    h: float | None = None
    negligible: str = ""
    """Why the difference is negligible; empty when it is not."""
    untestable: str = ""
    """Why there is no test."""
    settled: str = ""
    """Why no test is needed: both sides are alike. Such tests are not part of the family that is corrected
    (P. B. Gilbert, Applied Statistics 54 (2005) 143)."""


def judge(pairs: Sequence[Pair]) -> tuple[Finding, ...]:
    """Test every pair and return one finding for each.

    The primary indicators are one family of tests, those that follow them another: each is corrected by itself, so the
    many views of one shift do not weaken the test of the shift.
    """
    tested = [_test(pair) for pair in pairs]
    families = {
        first: iter(
            significance.corrected(
                [t.p for pair, t in zip(pairs, tested, strict=True) if t.p is not None and _primary(pair) is first]
            )
        )
        for first in (True, False)
    }
    return tuple(
        _finding(pair, t, None if t.p is None else next(families[_primary(pair)]))
        for pair, t in zip(pairs, tested, strict=True)
    )


def _primary(pair: Pair) -> bool:
    return pair.sli.follows is None


def _finding(pair: Pair, tested: Tested, corrected: float | None) -> Finding:
    sli = pair.sli
    assert sli.better is not None, "only indicators with a direction are paired"
    named = identity(sli, pair.place)
    change = tested.run - tested.baseline
    verdict, reason = _verdict(tested, corrected, change, at_most=sli.better == "at_most", key=sli.key)
    if verdict in {Verdict.BETTER, Verdict.WORSE} and len(pair.run) == len(pair.baseline) == 1:
        verdict = Verdict.DIFFERS  # jobs of two runs say nothing of the variation between runs
    of_shares = named["unit"] == "ratio"
    return Finding(
        **named,
        better=sli.better,
        run=tested.run,
        baseline=tested.baseline,
        n_run=tested.n[0],
        n_baseline=tested.n[1],
        difference=change,
        interval=tested.interval,
        relative=None if of_shares or not tested.baseline else change / tested.baseline,
        relative_interval=NOWHERE if of_shares else _agreeing(tested),
        test=tested.test,
        p=tested.p,
        p_corrected=corrected,
        a12=tested.a12,
        cohens_h=tested.h,
        verdict=verdict,
        reason=reason,
        run_interval=_interval(pair.run),
        baseline_interval=_interval(pair.baseline),
        follows=sli.follows or "",
    )


def _interval(observed: tuple[Observation, ...]) -> Interval:
    """Return the interval of the value of a side."""
    return observed[0].within if len(observed) == 1 else mean_interval([one.value for one in observed])


def _agreeing(tested: Tested) -> Interval:
    """Return the interval of the relative difference; where it and the difference disagree about zero, the latter's.

    Both are approximations, and the ratio's includes the error of the baseline. A reader must not find a difference in
    one column that the other denies.
    """
    if holds_zero(tested.ratio) == holds_zero(tested.interval) or not tested.baseline:
        return tested.ratio
    lower, upper = (
        None if limit is None else limit / tested.baseline for limit in (tested.interval.lower, tested.interval.upper)
    )
    return Interval(lower, upper)


def _verdict(
    tested: Tested, corrected: float | None, change: float, *, at_most: bool, key: bool
) -> tuple[Verdict, str]:
    if corrected is None and tested.test != EXACT:
        return (Verdict.NOT_SHOWN, tested.settled) if tested.settled else (Verdict.CANNOT_TELL, tested.untestable)
    if corrected is not None and corrected > ALPHA:
        only = tested.p is not None and tested.p <= ALPHA
        return Verdict.NOT_SHOWN, "significant before the correction only" if only else ""
    if holds_zero(tested.interval):
        return Verdict.NOT_SHOWN, HOLDS_ZERO
    if tested.negligible and not key:
        found = "exact" if corrected is None else "significant"
        return Verdict.NOT_SHOWN, f"{found} but negligible: {tested.negligible}"
    return (Verdict.BETTER if (change < 0) == at_most else Verdict.WORSE), ""


def _test(pair: Pair) -> Tested:
    many = max(len(pair.run), len(pair.baseline)) > 1
    tested = _over_runs(pair.sli.quantile, pair.run, pair.baseline) if many else _within(pair)
    if not pair.invalid:
        return tested
    return Tested(tested.run, tested.baseline, tested.n, tested.interval, tested.ratio, untestable=INVALID)


def _over_runs(q: float | None, run: tuple[Observation, ...], baseline: tuple[Observation, ...]) -> Tested:
    mine, theirs = [o.value for o in run], [o.value for o in baseline]
    means = math.fsum(mine) / len(mine), math.fsum(theirs) / len(theirs)
    n = len(mine), len(theirs)
    if len({*mine, *theirs}) == 1:
        return Tested(*means, n, settled=CONSTANT)
    few = min(len(o.samples) for o in (*run, *baseline))
    if q and 0 < few * (1 - q) < 1 - 1e-9:
        return Tested(*means, n, untestable=f"P{q * 100:g} of {few} samples per run is their maximum")
    if min(n) == 1:
        return _one_against_many(mine, theirs, means)
    p, interval = significance.welch(mine, theirs)
    ratio = relative(Estimate(means[0], mean_interval(mine)), Estimate(means[1], mean_interval(theirs)))
    found = Tested(*means, n, interval, ratio, a12=significance.rank_test(mine, theirs).a12)
    if reachable(*n) > ALPHA:
        least = f"{n[0]} against {n[1]} runs: {_unreachable(*n)}; repeat {LEAST_RUNS} times or more"
        return msgspec.structs.replace(found, untestable=least)
    if len(set(mine)) == len(set(theirs)) == 1:
        return msgspec.structs.replace(found, test=EXACT, negligible=_small_change(means))
    return msgspec.structs.replace(found, test="Welch's t over runs", p=p, negligible=_small_change(means))


def _one_against_many(mine: list[float], theirs: list[float], means: tuple[float, float]) -> Tested:
    n = len(mine), len(theirs)
    if len(theirs) > 1:
        p, interval = significance.one_against(mine[0], theirs)
    else:
        p, turned = significance.one_against(theirs[0], mine)
        interval = Interval(*(None if limit is None else -limit for limit in (turned.upper, turned.lower)))
    if max(n) < LEAST_RUNS:
        few = f"one run against {max(n)}; repeat {LEAST_RUNS} times or more"
        return Tested(*means, n, interval, untestable=few)
    return Tested(*means, n, interval, test="t of one run against many", p=p, negligible=_small_change(means))


def _within(pair: Pair) -> Tested:
    (run,), (baseline,) = pair.run, pair.baseline
    if run.share and baseline.share:
        return _shares(run.share, baseline.share)
    if run.samples and baseline.samples:
        return _samples(pair.sli.quantile, run, baseline)
    return Tested(run.value, baseline.value, (pair.place.n, None), untestable=ONE_VALUE)


def _shares(run: tuple[int, int], baseline: tuple[int, int]) -> Tested:
    mine, theirs = run[0] / run[1], baseline[0] / baseline[1]
    n = run[1], baseline[1]
    found = Tested(mine, theirs, n, newcombe(run, baseline))
    h = significance.cohens_h(mine, theirs)
    if reachable(*n) > ALPHA:
        return msgspec.structs.replace(
            found, h=h, untestable=f"{n[0]} against {n[1]}: p ≤ {ALPHA:g} is out of reach of any test"
        )
    if run[0] + baseline[0] in {0, sum(n)}:
        return msgspec.structs.replace(found, settled=ALIKE)
    small = f"|h| = {abs(h):.2f} < {NEGLIGIBLE_H:g}" if abs(h) < NEGLIGIBLE_H else ""
    return msgspec.structs.replace(found, test="Fisher", p=significance.fisher_p(run, baseline), h=h, negligible=small)


def _samples(q: float | None, run: Observation, baseline: Observation) -> Tested:
    n = len(run.samples), len(baseline.samples)
    rank = significance.rank_test(run.samples, baseline.samples)
    ratio = relative(run.estimate, baseline.estimate)
    apart = difference(run.estimate, baseline.estimate)
    found = Tested(run.value, baseline.value, n, apart, ratio, a12=rank.a12)
    if reachable(*n) > ALPHA:
        return msgspec.structs.replace(found, untestable=f"{n[0]} against {n[1]} samples: {_unreachable(*n)}")
    effect = abs(rank.a12 - 0.5)
    small = f"|A12 - 0.5| = {effect:.3f} < {NEGLIGIBLE_A12:g}" if effect < NEGLIGIBLE_A12 else ""
    if q is None:
        p, interval = significance.welch(run.samples, baseline.samples)
        return msgspec.structs.replace(found, interval=interval, test="Welch's t", p=p, negligible=small)
    if apart.lower is None or apart.upper is None:
        return msgspec.structs.replace(found, untestable=f"n = {min(n)} is too small for an interval of P{q * 100:g}")
    if q == 0.5:  # noqa: PLR2004 - the median
        return msgspec.structs.replace(found, test="Mann-Whitney", p=rank.p, negligible=small)
    p = significance.permutation_p(run.samples, baseline.samples, q)
    return msgspec.structs.replace(
        found, test="permutation", p=p, negligible=_small_change((run.value, baseline.value))
    )


def _unreachable(n: int, m: int) -> str:
    return f"p ≤ {ALPHA:g} is out of reach of a rank test (least p: {reachable(n, m):.2g})"


def _small_change(values: tuple[float, float]) -> str:
    run, baseline = values
    if not baseline or abs(run - baseline) >= NEGLIGIBLE_RELATIVE * abs(baseline):
        return ""
    return f"less than {NEGLIGIBLE_RELATIVE * 100:g} % of the baseline"
