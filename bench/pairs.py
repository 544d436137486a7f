"""Pairs of load generators: each runs directly next to a run of the one that it is compared with.

The speed of a machine changes within seconds to minutes, so only neighbours in time had the same machine. The two of a
pair run in drawn order; every second pair of a comparison has the opposite order of the pair before, so neither order
is more frequent. The pairs of all comparisons are spread evenly over the whole time.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from reelbench.bench.generators import BenchError, Generator, Load
from reelbench.bench.ratio import Ratio, ratio
from reelbench.bench.rig import Cores, Sent, send

MAIN_PAIRS, FURTHER_PAIRS = 8, 3
"""Pairs of Reelbench, and of each other generator, unless the command names other numbers."""
FIXED_RUNS = 5
"""Runs of one job for each user, whose CPU time is that of start and shutdown: one before each fifth of the pairs.

Runs at the beginning alone would have the speed that the machine had then.
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One generator next to another one."""

    mine: Generator
    other: Generator
    pairs: int


@dataclass(frozen=True, slots=True)
class Rate:
    """The rates of one generator in one run."""

    per_core: float
    """Requests per second of CPU time, without start and shutdown."""
    per_second: float
    """Requests per second, from the first to the last request."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The rates of two generators that ran directly one after the other."""

    name: str
    reference: str
    mine: Rate
    other: Rate


def reversals(pairs: int, draw: random.Random) -> list[bool]:
    """Return for each pair whether its second one runs first: drawn, and then the opposite."""
    drawn = [draw.random() < 0.5 for _ in range((pairs + 1) // 2)]  # noqa: PLR2004 - a fair coin
    return [first ^ opposite for first in drawn for opposite in (False, True)][:pairs]


def schedule(comparisons: Sequence[Comparison], seed: int) -> list[tuple[Comparison, bool]]:
    """Return all pairs in the order in which they run, and for each whether the reference runs first."""
    draw = random.Random(seed)
    placed = [
        ((number + draw.random()) / one.pairs, one, reverse)
        for one in comparisons
        for number, reverse in enumerate(reversals(one.pairs, draw))
    ]
    return [(one, reverse) for _, one, reverse in sorted(placed, key=lambda place: place[0])]


def net(sent: Sent, fixed: Sequence[Sent]) -> Rate:
    """Return the rate of a load without the mean cost of small loads (the rest of the start, and the shutdown).

    Raises:
        BenchError: the load did not take more CPU time, so there is no rate.
    """
    small = fmean(one.requests for one in fixed)
    cpu = sent.cpu - fmean(one.cpu for one in fixed)
    if cpu <= 0:
        raise BenchError(f"{sent.requests} requests took no more CPU time than {small:g}; send more jobs")
    return Rate((sent.requests - small) / cpu, sent.requests / sent.wall)


def measure(
    comparisons: Sequence[Comparison],
    load: Load,
    seed: int,
    *,
    on: Cores,
    say: Callable[[str], None],
) -> list[Pair]:
    """Measure all pairs.

    Args:
        comparisons: what is measured.
        load: what each run sends, in closed loops.
        seed: seed of the order.
        on: the cores of server and generator.
        say: receives one line for each pair.

    Raises:
        BenchError: a generator failed, or counts differ.
    """
    one_each = Load(load.mode, load.users, jobs=load.users)
    generators = {one.name: one for comparison in comparisons for one in (comparison.mine, comparison.other)}
    planned = schedule(comparisons, seed)
    fixed = defaultdict[str, list[Sent]](list)
    sent: list[dict[str, Sent]] = []
    for number, (comparison, reverse) in enumerate(planned):
        if number in {len(planned) * part // FIXED_RUNS for part in range(FIXED_RUNS)}:
            for name, one in generators.items():
                fixed[name].append(send(one, one_each, on))
        both = (comparison.mine, comparison.other)
        sent.append({one.name: send(one, load, on) for one in (both[::-1] if reverse else both)})
        spent = ", ".join(f"{name} {one.cpu / one.requests * 1e6:,.0f} us" for name, one in sent[-1].items())
        say(f"pair {number + 1} of {len(planned)}: CPU time of a request with start and shutdown: {spent}")
    return [
        Pair(mine, other, net(loads[mine], fixed[mine]), net(loads[other], fixed[other]))
        for loads, (comparison, _) in zip(sent, planned, strict=True)
        for mine, other in [(comparison.mine.name, comparison.other.name)]
    ]


def by_comparison(pairs: Sequence[Pair]) -> dict[tuple[str, str], Ratio]:
    """Return the ratio of requests per CPU second of each generator to each one that it ran next to."""
    grouped = defaultdict[tuple[str, str], list[Pair]](list)
    for pair in pairs:
        grouped[pair.name, pair.reference].append(pair)
    return {
        names: ratio([pair.mine.per_core for pair in some], [pair.other.per_core for pair in some])
        for names, some in grouped.items()
    }


def rates_of(pairs: Sequence[Pair]) -> dict[str, list[Rate]]:
    """Return all rates of each generator."""
    found = defaultdict[str, list[Rate]](list)
    for pair in pairs:
        found[pair.name].append(pair.mine)
        found[pair.reference].append(pair.other)
    return dict(found)
