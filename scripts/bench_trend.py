"""Error rates of `reelbench trend` by simulation: false alarms in histories without a change, and changes found.

Each history has 40 series of 30 runs. The noise between runs is normal, heavy-tailed (t with 3 degrees of freedom),
lognormal (sigma 0.3), a constant plus a skewed part (lognormal, sigma 0.8), or correlated from run to run (AR(1)). The
false alarms are counted twice: "possible" when any two neighbouring stretches of a series differ by what the rule
demands, wherever E-divisive looks, and "found" when the whole method finds a change.
"""

from __future__ import annotations

import argparse
import math
import sys
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from scipy import stats

from reelbench.reporting.statistics.change_points import LEAST, LEAST_SIDE, change_points, widened
from reelbench.reporting.statistics.significance import corrected
from reelbench.reporting.trend.judge import LEVEL

SERIES, CHANGED, RUNS = 40, 8, 30
SIZES = (3, 4, 6)
"""Changes, in standard deviations between runs."""
SPLITS = ((7, 3), (10, 10), (20, 3), (20, 5), (20, 10))
"""Runs before and after a change."""
SPREAD = 0.05
"""Standard deviation between runs, relative to the mean."""
NOISES = ("normal", "heavy-tailed", "lognormal", "skewed", "correlated 0.3", "correlated 0.5")

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def main() -> None:
    """Print a line for each kind of noise, and for each size of a change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=500)
    histories = parser.parse_args().histories
    for kind in NOISES:
        alarms(kind, histories, range(RUNS, RUNS + 1))
    alarms("normal", histories // 5, range(LEAST, RUNS + 1))
    for size in SIZES:
        power(size, histories // 20)


def alarms(kind: str, histories: int, lengths: range) -> None:
    """Print in how many histories without a change an alarm is possible, when they are read at each of some lengths."""
    rng = np.random.default_rng(15)
    made = [_history(rng, kind) for _ in range(histories)]
    values = np.log(np.vstack(made))
    values -= values.mean(axis=1, keepdims=True)
    start = np.zeros((len(values), 1))
    sums, squares = (np.hstack([start, part.cumsum(axis=1)]).T for part in (values, values**2))
    hit = np.zeros(len(values), dtype=bool)
    for runs in lengths:
        for begin, end in combinations(range(runs + 1), 2):
            chosen = 1 + (begin > 0) + (end < runs)
            greatest = LEVEL / SERIES / math.comb(runs - 1, chosen)
            n = end - begin
            for at in range(begin + LEAST_SIDE, end - LEAST_SIDE + 1):
                sides = at - begin, end - at
                widening, freedom = widened(*sides)
                limit = float(stats.t.isf(greatest / 2, freedom)) ** 2 * widening
                means = (sums[at] - sums[begin]) / sides[0], (sums[end] - sums[at]) / sides[1]
                left = squares[end] - squares[begin] - sides[0] * means[0] ** 2 - sides[1] * means[1] ** 2
                hit |= (means[0] - means[1]) ** 2 * (n - 2) > limit * left * (1 / sides[0] + 1 / sides[1])
    hits = hit.reshape(histories, SERIES)
    shown = f"{kind} noise, {histories} histories without a change: alarm possible in {hits.any(axis=1).sum()}"
    if len(lengths) > 1:
        _say(f"{shown}, read after each run from {lengths[0]} to {lengths[-1]}")
        return
    found = sum(bool(_changes(history[rows])) for history, rows in zip(made, hits, strict=True))
    _say(f"{shown}, found in {found}")


def power(size: float, histories: int) -> None:
    """Print the share of changed series that are found, and of those found at the right run."""
    rng = np.random.default_rng(17)
    for before, after in SPLITS:
        found = exact = 0
        for _ in range(histories):
            history = _history(rng, "normal")[:CHANGED, : before + after]
            history[:, before:] *= 1 + size * SPREAD
            places = _changes(history)
            found += len({number for number, _ in places})
            exact += sum(index == before for _, index in places)
        share = f"{found / (CHANGED * histories):.0%}, at that run {exact / max(found, 1):.0%}"
        _say(f"{size} standard deviations in {CHANGED} of {SERIES}, {before} runs before, {after} after: {share}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _changes(history: Array) -> list[tuple[int, int]]:
    """Return series and place of each change that remains after the correction; the other series have p = 1."""
    found = [
        (n, point)
        for n, values in enumerate(history)
        for point in change_points([*map(float, values)], LEVEL, 0.02, logarithmic=True)
    ]
    ps = corrected([*(point.p or 0.0 for _, point in found), *[1.0] * (SERIES - len({n for n, _ in found}))])
    return [(n, point.index) for (n, point), p in zip(found, ps, strict=False) if p <= LEVEL]


def _history(rng: np.random.Generator, kind: str) -> Array:
    """Return made values, a row for each series."""
    z: Array = rng.normal(size=(SERIES, RUNS))
    if kind == "heavy-tailed":
        z = rng.standard_t(3, size=(SERIES, RUNS)) / np.sqrt(3)
    elif kind == "lognormal":
        z = (np.exp(0.3 * z) - 1) / SPREAD
    elif kind == "skewed":
        z = (np.exp(0.8 * z) - np.exp(0.32)) / np.sqrt((np.exp(0.64) - 1) * np.exp(0.64))
    elif kind.startswith("correlated"):
        r = float(kind.split()[1])
        for run in range(1, RUNS):
            z[:, run] = r * z[:, run - 1] + np.sqrt(1 - r**2) * z[:, run]
    made: Array = 10 * np.maximum(1 + SPREAD * z, SPREAD)  # t with 3 degrees of freedom reaches below zero
    return made


if __name__ == "__main__":
    main()
