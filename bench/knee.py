"""Error rates of the rule that finds the knee of a ramp, by simulation of servers of known capacity.

A server has `SERVERS` workers (G/G/k): lognormal service times, multiplied by a factor common to neighbouring jobs that
varies slowly (AR(1)), as on a machine with other load. All times are relative to the capacity, so one capacity serves
for all.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reelbench.loadgen.drive.rate_search import RateSearch, nearest
from reelbench.loadgen.plan.scenario import PROFILES, Scenario
from reelbench.loadgen.plan.scenario_file import load_folder
from reelbench.loadgen.plan.search import expanded
from reelbench.loadgen.record.rate_rule import ENOUGH, Process, Result, growth
from reelbench.reporting.statistics.intervals import Proportion, exact_proportion

CAPACITY = 18.0
"""Jobs per second; near that of the mock service."""
SERVERS = (2, 8, 24)
VARIATION = 0.5
"""Standard deviation of a service time over its mean."""
CORRELATION, SPREAD = 0.95, 0.05
"""Of the common factor: correlation of neighbouring jobs, and standard deviation."""
BELOW, ABOVE = 0.95, 1.2
"""Rates over the capacity at which the rule must not, and must, find a growing backlog."""
SHIFTS = (0.85, 1.15)
"""Capacities of the simulated searches over `CAPACITY`, drawn evenly between: they fall anywhere between two rates."""

GUESSES = (0.8, 1.05)
"""Throughput of closed cases over the capacity: start and drain make it smaller."""

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Row:
    """Error rates of single cases of one length."""

    what: str
    servers: int
    arrivals: str
    jobs: int
    """Offered at the capacity."""
    false_alarm: Proportion
    power: Proportion


@dataclass(frozen=True, slots=True)
class Found:
    """Error of whole searches: the found knee over the true capacity."""

    profile: str
    informed: bool
    """Whether the search began at a rate near to what closed cases had shown."""
    servers: int
    quantiles: tuple[float, float, float]
    """P5, P50, P95 of the highest rate that holds, over the capacity."""
    covered: Proportion
    """Searches whose interval contains the capacity."""
    wrong: Proportion
    """Searches whose answer is above 1.2 times the capacity, or whose interval ends below 0.95 of it."""
    visits: float
    """Mean number of rates that are visited."""
    seconds: float
    """Mean length of the arrivals."""


def offered(random: Random, rate: float, seconds: float, *, process: Process) -> list[float]:
    """Return arrival times of a case."""
    if process == "constant":
        return [number / rate for number in range(math.ceil(rate * seconds))]
    gaps = random.exponential(1 / rate, round(rate * seconds + 6 * math.sqrt(rate * seconds) + 10))
    times = np.cumsum(gaps)
    return [float(at) for at in times[times < seconds]]


def ends(random: Random, arrivals: Sequence[float], servers: int, capacity: float) -> list[float]:
    """Return when the jobs end that arrive at a server of a capacity."""
    count, mean = len(arrivals), servers / capacity
    sigma = math.sqrt(math.log1p(VARIATION**2))
    common, factor = random.normal(0, SPREAD), []
    for step in random.normal(0, SPREAD * math.sqrt(1 - CORRELATION**2), count):
        common = CORRELATION * common + step
        factor.append(common)
    work = random.lognormal(math.log(mean) - sigma**2 / 2, sigma, count) * np.exp(np.array(factor) - SPREAD**2 / 2)
    free = [0.0] * servers
    found = []
    for at, length in zip(arrivals, work.tolist(), strict=True):
        end = max(at, free[0]) + length
        heapq.heapreplace(free, end)
        found.append(end)
    return found


def grows(random: Random, rate: float, seconds: float, servers: int, capacity: float, process: Process) -> bool:  # noqa: PLR0917 - a case
    """Return whether the rule finds a growing backlog in one simulated case."""
    arrivals = offered(random, rate, seconds, process=process)
    return growth(arrivals, ends(random, arrivals, servers, capacity), seconds, process).growing


def rates(random: Random, what: str, servers: int, seconds: float, repetitions: int, process: Process) -> Row:  # noqa: PLR0917 - a case
    """Return false alarm and power of cases of one length."""

    def share(ratio: float) -> Proportion:
        hits = sum(grows(random, ratio * CAPACITY, seconds, servers, CAPACITY, process) for _ in range(repetitions))
        found = exact_proportion(hits, repetitions)
        assert found is not None, "there are repetitions"
        return found

    return Row(what, servers, process, round(CAPACITY * seconds), share(BELOW), share(ABOVE))


def rows(random: Random, repetitions: int) -> Iterator[Row]:
    """Yield the error rates for the least jobs of each profile, then for lengths at which a rate is proven."""
    for servers in SERVERS:
        for profile in PROFILES:
            search = _ramp().search
            assert search is not None, "the scenario ramp is a search"
            yield rates(random, profile, servers, search.jobs.of(profile) / CAPACITY, repetitions, "constant")
        yield rates(random, "M/G/k", servers, ENOUGH["poisson"] / CAPACITY, repetitions, "poisson")


def searches(random: Random, repetitions: int) -> Iterator[Found]:
    """Yield the error of the knee that whole searches of each profile find."""
    for servers in SERVERS:
        for profile in PROFILES:
            for informed in (False, True):
                yield _searched(random, profile, servers, repetitions, informed=informed)


def _searched(random: Random, profile: str, servers: int, repetitions: int, *, informed: bool) -> Found:
    named = next(one for one in PROFILES if one == profile)
    cases = [
        (case.rate.of(named), float(case.seconds.of(named)))
        for case in expanded(_ramp(), named).cases
        if case.rate is not None and case.seconds is not None
    ]
    ratios, covered, wrong, visits, seconds = [], 0, 0, 0, 0.0
    for _ in range(repetitions):
        capacity = CAPACITY * random.uniform(*SHIFTS)
        first = nearest([rate for rate, _ in cases], capacity * random.uniform(*GUESSES))
        search = RateSearch(len(cases), first if informed else None)
        held, broke = 0.0, math.inf
        while (number := search.next()) is not None:
            rate, length = cases[number]
            fails = grows(random, rate, length, servers, capacity, "constant")
            search.learn(number, Result.FAILS if fails else Result.HOLDS)
            held, broke = (held, rate) if fails else (rate, broke)
            visits, seconds = visits + 1, seconds + length
        ratios.append(held / capacity)
        covered += held <= capacity < broke
        wrong += held > ABOVE * capacity or broke < BELOW * capacity
    low, middle, high = np.quantile(ratios, (0.05, 0.5, 0.95))
    shares = [exact_proportion(hits, repetitions) for hits in (covered, wrong)]
    inside, outside = (share for share in shares if share is not None)
    quantiles = (float(low), float(middle), float(high))
    return Found(profile, informed, servers, quantiles, inside, outside, visits / repetitions, seconds / repetitions)


def _ramp() -> Scenario:
    return load_folder()["ramp"]


def report(repetitions: int, seed: int, say: Callable[[str], None]) -> None:
    """Print all error rates."""
    random = np.random.default_rng(seed)
    say(f"single cases, {repetitions} repetitions each (95 % interval)")
    say(
        f"{'length':12} {'workers':>7} {'arrivals':>8} {'jobs':>5}  {f'false alarm at {BELOW:g}':22} power at {ABOVE:g}"
    )
    for row in rows(random, repetitions):
        alarm, power = _percent(row.false_alarm), _percent(row.power)
        say(f"{row.what:12} {row.servers:>7} {row.arrivals:>8} {row.jobs:>5}  {alarm:22} {power}")
    say("")
    say(f"searches of ramp, {repetitions} each; capacity {SHIFTS[0]:g} to {SHIFTS[1]:g} times {CAPACITY:g} jobs/s")
    held = "held / capacity P5, P50, P95"
    say(f"{'profile':12} {'begin':8} {'workers':>7}  {held:30} {'covers':22} {'wrong':18} rates, s")
    for found in searches(random, repetitions):
        ratio, begin = ", ".join(f"{one:.2f}" for one in found.quantiles), "informed" if found.informed else "middle"
        say(
            f"{found.profile:12} {begin:8} {found.servers:>7}  {ratio:30} {_percent(found.covered):22} "
            f"{_percent(found.wrong):18} {found.visits:.1f}, {found.seconds:.0f}"
        )


def _percent(share: Proportion) -> str:
    return f"{share.value * 100:.1f} % ({share.lower * 100:.1f} to {share.upper * 100:.1f})"
