"""From pairs to findings: which test fits, what it says, and whether that is enough for a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reelbench.reporting.compare.finding import Finding, Word
from reelbench.reporting.compare.kinds import Observed, title_of, unit_of
from reelbench.reporting.compare.pairs import Pair
from reelbench.reporting.statistics import significance
from reelbench.reporting.statistics.difference import NOWHERE, Estimate, difference, holds_zero, newcombe, relative
from reelbench.reporting.statistics.intervals import Interval, mean_interval
from reelbench.reporting.statistics.significance import ALPHA, reachable

NEGLIGIBLE_A12 = 0.06
"""|A12 - 0.5| below this is negligible: Vargha and Delaney (2000) call 0.56 small."""
NEGLIGIBLE_RELATIVE = 0.02
"""Of a percentile, and of the means of runs: the link order of a program or the size of its environment alone moves a
benchmark by this and more. T. Mytkowicz et al., ASPLOS 2009, doi 10.1145/1508244.1508275."""
NEGLIGIBLE_H = 0.2
"""|h| below this is small: Cohen (1988)."""

ONE_VALUE = "one value a run, which cannot be tested; use --repeat on both sides"
INVALID = "the load generator was the bottleneck"
HOLDS_ZERO = "the interval holds zero"
ALIKE = "all or none on both sides"
CONSTANT = "the same in every run"
EXACT = "exact"
"""Each side has one value in all its runs, as counts of a seeded plan do: more runs would tell no more than these."""


@dataclass(frozen=True, slots=True)
class Tested:
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
    """Why the difference is too small to matter; empty when it is not."""
    untold: str = ""
    """Why there is no test."""
    settled: str = ""
    """Why no test is needed: both sides are alike, and any test could only say so. Such tests are no part of the family
    that is corrected (P. B. Gilbert, Applied Statistics 54 (2005) 143)."""


def judge(pairs: Sequence[Pair]) -> tuple[Finding, ...]:
    """Test every pair and correct all tests together."""
    tested = [_test(pair) for pair in pairs]
    ps = [t.p for t in tested if t.p is not None]
    corrected = iter(significance.corrected(ps))
    return tuple(
        _finding(pair, t, None if t.p is None else next(corrected)) for pair, t in zip(pairs, tested, strict=True)
    )


def _finding(pair: Pair, tested: Tested, corrected: float | None) -> Finding:
    sli = pair.sli
    assert sli.better is not None, "only indicators with a direction are paired"
    change = tested.run - tested.baseline
    verdict, reason = _verdict(tested, corrected, change, at_most=sli.better == "at_most", key=sli.key)
    of_shares = unit_of(sli) == "ratio"
    return Finding(
        sli=sli.id,
        title=title_of(sli),
        unit=unit_of(sli),
        better=sli.better,
        scenario=pair.place.scenario,
        case=pair.place.case,
        member=pair.place.member,
        run=tested.run,
        baseline=tested.baseline,
        n_run=tested.n[0],
        n_baseline=tested.n[1],
        difference=change,
        interval=tested.interval,
        relative=None if of_shares or not tested.baseline else change / tested.baseline,
        relative_interval=NOWHERE if of_shares else tested.ratio,
        test=tested.test,
        p=tested.p,
        p_corrected=corrected,
        a12=tested.a12,
        cohens_h=tested.h,
        verdict=verdict,
        reason=reason,
    )


def _verdict(tested: Tested, corrected: float | None, change: float, *, at_most: bool, key: bool) -> tuple[Word, str]:
    if corrected is None and tested.test != EXACT:
        return (Word.NOT_SHOWN, tested.settled) if tested.settled else (Word.CANNOT_TELL, tested.untold)
    if corrected is not None and corrected > ALPHA:
        only = tested.p is not None and tested.p <= ALPHA
        return Word.NOT_SHOWN, "significant alone, not among so many tests" if only else ""
    if holds_zero(tested.interval):
        return Word.NOT_SHOWN, HOLDS_ZERO
    if tested.negligible and not key:
        return Word.NOT_SHOWN, f"{'exact' if corrected is None else 'significant'} but negligible: {tested.negligible}"
    return (Word.BETTER if (change < 0) == at_most else Word.WORSE), ""


def _test(pair: Pair) -> Tested:
    many = max(len(pair.run), len(pair.baseline)) > 1
    tested = _over_runs(pair, pair.run, pair.baseline) if many else _within(pair, pair.run[0], pair.baseline[0])
    if not pair.invalid:
        return tested
    return Tested(tested.run, tested.baseline, tested.n, tested.interval, tested.ratio, untold=INVALID)


def _over_runs(pair: Pair, run: tuple[Observed, ...], baseline: tuple[Observed, ...]) -> Tested:
    mine, theirs = [o.value for o in run], [o.value for o in baseline]
    means = math.fsum(mine) / len(mine), math.fsum(theirs) / len(theirs)
    n = len(mine), len(theirs)
    if len({*mine, *theirs}) == 1:
        return Tested(*means, n, settled=CONSTANT)
    few = min(len(o.samples) for o in (*run, *baseline))
    if pair.sli.quantile and 0 < few * (1 - pair.sli.quantile) < 1 - 1e-9:
        return Tested(*means, n, untold=f"P{pair.sli.quantile * 100:g} of {few} samples a run is their maximum")
    if min(n) == 1:
        return _one_against_many(mine, theirs, means)
    p, interval = significance.welch(mine, theirs)
    rank = significance.rank_test(mine, theirs)
    ratio = relative(Estimate(means[0], mean_interval(mine)), Estimate(means[1], mean_interval(theirs)))
    if reachable(*n) > ALPHA:
        least = f"{n[0]} against {n[1]} runs: no rank test can give p <= {ALPHA:g} (at least {reachable(*n):.2g})"
        return Tested(*means, n, interval, ratio, a12=rank.a12, untold=f"{least}; repeat 4 times or more")
    if len(set(mine)) == len(set(theirs)) == 1:
        return Tested(*means, n, interval, ratio, EXACT, a12=rank.a12, negligible=_small_change(means))
    return Tested(*means, n, interval, ratio, "Welch's t over runs", p, rank.a12, negligible=_small_change(means))


def _one_against_many(mine: list[float], theirs: list[float], means: tuple[float, float]) -> Tested:
    n = len(mine), len(theirs)
    if len(theirs) > 1:
        p, interval = significance.one_against(mine[0], theirs)
    else:
        p, turned = significance.one_against(theirs[0], mine)
        interval = Interval(*(None if limit is None else -limit for limit in (turned.upper, turned.lower)))
    if max(n) < _LEAST_RUNS:
        return Tested(*means, n, interval, untold=f"one run against {max(n)}; repeat {_LEAST_RUNS} times or more")
    return Tested(*means, n, interval, test="t of one run against many", p=p, negligible=_small_change(means))


_LEAST_RUNS = 4


def _within(pair: Pair, run: Observed, baseline: Observed) -> Tested:
    if run.share and baseline.share:
        return _shares(run.share, baseline.share)
    if run.samples and baseline.samples:
        return _samples(pair.sli.quantile, run, baseline)
    return Tested(run.value, baseline.value, (pair.place.n, None), untold=ONE_VALUE)


def _shares(run: tuple[int, int], baseline: tuple[int, int]) -> Tested:
    mine, theirs = run[0] / run[1], baseline[0] / baseline[1]
    n = run[1], baseline[1]
    h = significance.cohens_h(mine, theirs)
    interval = newcombe(run, baseline)
    if reachable(*n) > ALPHA:
        return Tested(mine, theirs, n, interval, h=h, untold=f"{n[0]} against {n[1]}: no test can give p <= {ALPHA:g}")
    if run[0] + baseline[0] in {0, sum(n)}:
        return Tested(mine, theirs, n, interval, settled=ALIKE)
    small = f"|h| = {abs(h):.2f} < {NEGLIGIBLE_H:g}" if abs(h) < NEGLIGIBLE_H else ""
    return Tested(
        mine, theirs, n, interval, test="Fisher", p=significance.fisher_p(run, baseline), h=h, negligible=small
    )


def _samples(q: float | None, run: Observed, baseline: Observed) -> Tested:
    n = len(run.samples), len(baseline.samples)
    rank = significance.rank_test(run.samples, baseline.samples)
    ratio = relative(run.estimate, baseline.estimate)
    apart = difference(run.estimate, baseline.estimate)
    if reachable(*n) > ALPHA:
        few = f"{n[0]} against {n[1]} samples: no rank test can give p <= {ALPHA:g} (at least {reachable(*n):.2g})"
        return Tested(run.value, baseline.value, n, apart, ratio, a12=rank.a12, untold=few)
    effect = abs(rank.a12 - 0.5)
    small = f"|A12 - 0.5| = {effect:.3f} < {NEGLIGIBLE_A12:g}" if effect < NEGLIGIBLE_A12 else ""
    if q is None:
        p, interval = significance.welch(run.samples, baseline.samples)
        return Tested(run.value, baseline.value, n, interval, ratio, "Welch's t", p, rank.a12, negligible=small)
    if apart.lower is None or apart.upper is None:
        few = f"n = {min(n)} is too small for an interval of P{q * 100:g}"
        return Tested(run.value, baseline.value, n, apart, ratio, a12=rank.a12, untold=few)
    if q == 0.5:  # noqa: PLR2004 - the median
        return Tested(run.value, baseline.value, n, apart, ratio, "Mann-Whitney", rank.p, rank.a12, negligible=small)
    p = significance.permutation_p(run.samples, baseline.samples, q)
    small = _small_change((run.value, baseline.value))
    return Tested(run.value, baseline.value, n, apart, ratio, "permutation", p, rank.a12, negligible=small)


def _small_change(values: tuple[float, float]) -> str:
    run, baseline = values
    if not baseline or abs(run - baseline) >= NEGLIGIBLE_RELATIVE * abs(baseline):
        return ""
    return f"less than {NEGLIGIBLE_RELATIVE * 100:g} % of the baseline"
