"""Compares the load generator with k6 and Locust: requests per CPU second, and the reported P95 during a freeze.

Rate: in each pair, a generator and k6 send the same jobs (create, wait, content) to a fast server, one directly after
the other (`pairs`). CPU time counts from the first request on; the rest of the start and the shutdown are measured with
a load of one job per user, and subtracted.

Lateness: jobs arrive at half and at 80 % of the generator's own maximum rate, since a fast and late generator is worth
nothing.

Freeze: arrivals at a constant rate to a server that pauses for a known time. The schedule determines the true P95.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tabulate import tabulate

from reelbench.bench.generators import JOB, BenchError, Generator, Load
from reelbench.bench.pairs import Pair, Rate, by_comparison, rates_of
from reelbench.bench.rig import Cores, send

USERS: Final = 16
ARRIVALS, SECONDS, FREEZE_AT, FREEZE_FOR, FREEZE_USERS = 100, 8, 3, 2, 20
"""Arrivals per second; seconds of load, before the freeze, and of the freeze; users of k6 and Locust (5/s each)."""

SHARES: Final = (0.5, 0.8)
"""Shares of the maximum rate at which the lateness is measured."""
ARRIVAL_SECONDS: Final = 10

ARRIVING: Final = Load("freeze", FREEZE_USERS, rate=ARRIVALS, seconds=SECONDS)


@dataclass(frozen=True, slots=True)
class Frozen:
    """The figures of one generator for a server that froze."""

    name: str
    p95: float
    sent: int
    """Arrivals that reached the server."""
    dropped: int
    """Arrivals that the generator reports as not sent."""


@dataclass(frozen=True, slots=True)
class Late:
    """The lateness of the load generator at a rate of arrivals."""

    share: float
    """Of its maximum rate."""
    rate: int
    """Jobs per second."""
    p99: float
    """Seconds from the intended start of a job to its first request."""
    p95: float
    """P95 of the response time in seconds."""


def freezes(generators: Sequence[Generator], *, on: Cores) -> list[Frozen]:
    """Measure every generator with a server that freezes.

    Raises:
        BenchError: a generator failed, counts differ, or there was no freeze.
    """
    found = []
    for generator in generators:
        sent = send(generator, ARRIVING, on, freeze=(FREEZE_AT, FREEZE_FOR))
        if sent.frozen is None:
            raise BenchError(f"{generator.name} ended before the server froze")
        found.append(Frozen(generator.name, sent.figures.p95, sent.created, sent.figures.dropped))
    return found


def latenesses(generator: Generator, found: Sequence[Rate], *, on: Cores) -> list[Late]:
    """Measure the lateness of a generator at shares of its maximum rate, which is that of its closed loops `found`.

    Raises:
        BenchError: the generator failed, or counts differ.
    """
    most = _mean([rate.per_second for rate in found]) / len(JOB)
    measured = []
    for share in SHARES:
        load = Load("arrivals", USERS, rate=max(1, round(share * most)), seconds=ARRIVAL_SECONDS)
        figures = send(generator, load, on).figures
        if figures.late is None:
            raise BenchError(f"{generator.name} does not report how late its jobs were")
        measured.append(Late(share, load.rate, figures.late, figures.p95))
    return measured


def true_p95() -> float:
    """Return P95 (nearest rank) of the wait of all scheduled arrivals, without the server's own time (under 1 ms)."""
    end = FREEZE_AT + FREEZE_FOR
    starts = [number / ARRIVALS for number in range(ARRIVALS * SECONDS)]  # intended ones
    waits = sorted(end - start if FREEZE_AT <= start < end else 0.0 for start in starts)
    return waits[math.ceil(0.95 * len(waits)) - 1]


def rate_lines(pairs: Sequence[Pair], reference: str) -> list[str]:
    """Return the table of rates, with ratios to `reference`."""
    ratios, rows = by_comparison(pairs), []
    for name, rates in sorted(rates_of(pairs).items(), key=lambda one: -_mean([rate.per_core for rate in one[1]])):
        if name != reference and (name, reference) not in ratios:
            continue
        per_core, per_second = _mean([rate.per_core for rate in rates]), _mean([rate.per_second for rate in rates])
        compared = "1" if name == reference else str(ratios[name, reference])
        count = sum(pair.name == name and pair.reference == reference for pair in pairs)
        rows.append([name, f"{per_core:,.0f}", f"{per_second:,.0f}", str(count or ""), compared])
    heads = ["generator", "requests/CPU s", "requests/s", "pairs", f"ratio to {reference}"]
    title = f"{USERS} in flight, {len(JOB)} requests per job; geometric means; each ratio is of pairs adjacent in time"
    return [title, *_table(rows, heads)]


def recorded_lines(pairs: Sequence[Pair], reference: str) -> list[str]:
    """Return the ratios to a peer that also writes each request to a file."""
    rows = [[name, str(found)] for (name, other), found in by_comparison(pairs).items() if other == reference]
    return ["each request is written to a file by both", *_table(rows, ["generator", f"ratio to {reference}"])]


def lateness_lines(name: str, measured: Sequence[Late]) -> list[str]:
    """Return the table of the lateness of a generator."""
    rows = [
        [f"{this.share:.0%}", f"{this.rate:,}", f"{this.rate * ARRIVAL_SECONDS:,}", f"{this.p99 * 1000:.2f}",
         f"{this.p95 * 1000:.2f}"]
        for this in measured
    ]  # fmt: skip
    heads = ["of its maximum", "jobs/s", "jobs sent", "lateness P99 [ms]", "response P95 [ms]"]
    title = f"{name}: constant arrivals for {ARRIVAL_SECONDS} s, recording on, counts equal to the server's"
    return [title, *_table(rows, heads)]


def freeze_lines(found: Sequence[Frozen]) -> list[str]:
    """Return the table of the freeze."""
    truth = true_p95()
    rows = [
        [this.name, f"{this.p95:.3f}", f"{(this.p95 - truth) / truth:+.1%}", str(this.sent), str(this.dropped)]
        for this in found
    ]
    heads = ["generator", "P95 [s]", "error", f"sent of {ARRIVALS * SECONDS}", "dropped, as reported"]
    title = (
        f"a server that freezes for {FREEZE_FOR} s of {SECONDS} s, {ARRIVALS} arrivals/s: true P95 {truth:.3f} s, "
        f"{FREEZE_USERS} users for a peer"
    )
    return [title, *_table(rows, heads)]


def _mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> list[str]:
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True).splitlines()
