"""A generator compared with itself on a simulated machine whose speed changes: how wide the interval of the ratio is.

The logarithm of the speed is an Ornstein-Uhlenbeck process. Rounds are the plan of earlier versions: all generators in
drawn order, and a ratio for each round. Pairs are the plan of `pairs.schedule`. Both take about the same time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Final

from reelbench.bench.pairs import FURTHER_PAIRS, MAIN_PAIRS, Comparison, schedule
from reelbench.bench.peer_programs import K6
from reelbench.bench.ratio import Ratio, ratio

GENERATORS: Final = 8
ROUNDS: Final = 5
LONG, SHORT, START = 4.0, 3.0, 1.0
"""Seconds of load of a run of the rounds and of the pairs; seconds from one load to the next."""
SPREAD: Final = 0.25
"""Standard deviation of the logarithm of the speed, as measured on two shared cores in 5 rounds of k6."""
OWN: Final = 0.02
"""Standard deviation of a run on a machine of constant speed."""
STEP: Final = 0.25
"""Seconds of a step of the process."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a plan."""

    seconds: float
    """Length of the plan."""
    width: float
    """Median of the half width of the 95 % interval of the logarithm of the ratio."""
    held: float
    """Share of the intervals that hold the true ratio of 1."""


class Machine:
    """A machine whose speed changes with time."""

    def __init__(self, draw: random.Random, memory: float) -> None:
        """Begin at a drawn speed; after `memory` seconds, the correlation with it is 1/e."""
        self._draw, self._keep = draw, math.exp(-STEP / memory)
        self._speed = draw.gauss(0.0, SPREAD)
        self.now = 0.0

    def run(self, seconds: float) -> float:
        """Return the rate of a run that takes some seconds."""
        speeds = [self._step() for _ in range(max(1, round(seconds / STEP)))]
        return math.exp(fmean(speeds) + self._draw.gauss(0.0, OWN))

    def pause(self) -> None:
        """Let the time from one load to the next pass."""
        self.run(START)

    def _step(self) -> float:
        self.now += STEP
        self._speed = self._keep * self._speed + math.sqrt(1 - self._keep**2) * self._draw.gauss(0.0, SPREAD)
        return self._speed


def by_rounds(machine: Machine, draw: random.Random) -> Ratio:
    """Return the ratio of the first generator to the second one; both are the same."""
    mine, other = [], []
    for _ in range(ROUNDS):
        this = {}
        for which in draw.sample(range(GENERATORS), GENERATORS):
            for load in (0.0, LONG):  # a load of one job per user before each load, for the cost of the start
                machine.pause()
                this[which] = machine.run(load) if load else 0.0
        mine.append(this[0])
        other.append(this[1])
    return ratio(mine, other)


def by_pairs(machine: Machine, draw: random.Random) -> Ratio:
    """Return the ratio of a generator to itself in the pairs of one of the two main comparisons."""
    k6 = K6(Path("k6"))  # it is not run
    wanted = [Comparison(k6, k6, pairs) for pairs in (MAIN_PAIRS, MAIN_PAIRS, *[FURTHER_PAIRS] * 6)]
    mine, other = [], []
    for one, reverse in schedule(wanted, draw.getrandbits(32)):
        both = []
        for _ in range(2):
            machine.pause()
            both.append(machine.run(SHORT))
        if one is wanted[0]:
            first, second = both[::-1] if reverse else both
            mine.append(first)
            other.append(second)
    return ratio(mine, other)


def simulate(plan: Callable[[Machine, random.Random], Ratio], memory: float, repetitions: int, seed: int) -> Found:
    """Return the width and the truth of the intervals of a plan."""
    widths, held, seconds = [], 0, []
    for number in range(repetitions):
        draw = random.Random(f"{seed}:{number}")
        machine = Machine(draw, memory)
        found = plan(machine, draw)
        assert found.lower is not None
        assert found.upper is not None
        widths.append(math.log(found.upper / found.lower) / 2)
        held += found.lower <= 1 <= found.upper
        seconds.append(machine.now)
    return Found(fmean(seconds), median(widths), held / repetitions)


def report(repetitions: int, seed: int, say: Callable[[str], None]) -> None:
    """Print a line for each plan and each memory of the machine."""
    say(f"A generator compared with itself, {repetitions} repetitions; standard deviation of the speed {SPREAD:.0%}")
    for memory in (5.0, 20.0, 60.0, 300.0):
        for name, plan in (("rounds", by_rounds), ("pairs", by_pairs)):
            found = simulate(plan, memory, repetitions, seed)
            say(
                f"speed remembered for {memory:3.0f} s, {name:6}: {found.seconds:.0f} s, interval ± {found.width:.1%}, "
                f"holds 1 in {found.held:.1%}"
            )
