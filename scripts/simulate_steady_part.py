"""Simulate the bias of throughput and P95 of short closed loops, over the whole case and over its steady part.

Also how often a service is said to have stood still outside the steady part: of services that did not, and of those
that did, for three times as long as the longest job.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).parents[1]))

from reelbench.reporting.statistics.steady_part import LEAST_JOBS, NoSteadyPart, SteadyPart, steady_part

Job = tuple[float, float]
JOBS_PER_USER = (2, 4, 6, 10)
LONG = 1_000
"""Jobs per virtual user of the long loop that gives the true values."""
REPETITIONS = 200
STANDSTILL = 3
"""Length of a standstill, as a multiple of the longest job."""


@dataclass(frozen=True)
class Service:
    """A service with lognormal times of work."""

    name: str
    users: int
    workers: int
    """With a common queue; 0: all jobs share two processors equally."""
    spread: float
    """Coefficient of variation of the time of work."""

    def times(self, rng: random.Random) -> Callable[[], float]:
        """Return what draws times of work with a mean of 0.7 s, or of 0.1 s of a shared processor."""
        sigma = math.sqrt(math.log(1 + self.spread**2))
        mean = math.log(0.7 if self.workers else 0.1) - sigma**2 / 2
        return lambda: rng.lognormvariate(mean, sigma)

    def loop(self, count: int, rng: random.Random) -> list[Job]:
        """Return when each job became due and when it ended."""
        return self._queue(count, self.times(rng)) if self.workers else self._shared(count, self.times(rng))

    def _queue(self, count: int, time: Callable[[], float]) -> list[Job]:
        free, idle, jobs = [0.0] * self.users, [0.0] * self.workers, []
        for _ in range(count):
            due = heapq.heappop(free)
            done = max(due, heapq.heappop(idle)) + time()
            heapq.heappush(idle, done)
            heapq.heappush(free, done)
            jobs.append((due, done))
        return jobs

    def _shared(self, count: int, time: Callable[[], float]) -> list[Job]:
        left, work, now, jobs = count - self.users, 0.0, 0.0, []
        running = [(time(), 0.0) for _ in range(self.users)]
        heapq.heapify(running)
        while running:
            end, due = heapq.heappop(running)
            now += (end - work) * max(1.0, (len(running) + 1) / 2)
            work = end
            jobs.append((due, now))
            if left:
                heapq.heappush(running, (work + time(), now))
                left -= 1
        return jobs


SERVICES = (
    Service("50 in flight, 16 workers, CV 0.3", 50, 16, 0.3),
    Service("50 in flight, 16 workers, CV 1", 50, 16, 1.0),
    Service("16 in flight, 16 workers, CV 0.1", 16, 16, 0.1),
    Service("5 in flight, 16 workers, CV 0.3", 5, 16, 0.3),
    Service("5 in flight, 16 workers, CV 1", 5, 16, 1.0),
    Service("50 in flight, 2 processors shared, CV 0.3", 50, 0, 0.3),
    Service("50 in flight, 2 processors shared, CV 0.1", 50, 0, 0.1),
)


@dataclass(frozen=True)
class Values:
    """Throughput and P95 of each repetition."""

    rates: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)

    def add(self, jobs: Sequence[Job], seconds: float) -> None:
        """Add the values of one stretch."""
        self.rates.append(len(jobs) / seconds)
        times = [done - due for due, done in jobs]
        self.tails.append(float(np.quantile(times, 0.95, method="inverted_cdf")))

    def shown(self, rate: float, tail: float) -> str:
        """Return the bias with the standard deviation, in % of the true values."""
        found = ((self.rates, rate), (self.tails, tail))
        return "".join(f"{np.mean(v) / true * 100 - 100:+7.1f} ±{np.std(v) / true * 100:4.1f}" for v, true in found)


def truncated(jobs: Sequence[Job]) -> tuple[list[Job], float]:
    """Return the jobs that MSER-5 keeps of the response times in the order of their ends, and their length."""
    ordered = sorted(jobs, key=lambda job: job[1])
    batches = np.array([done - due for due, done in ordered])[: len(ordered) // 5 * 5].reshape(-1, 5).mean(axis=1)
    half = range(max(1, len(batches) // 2))
    cut = 5 * min(half, key=lambda first: float(np.var(batches[first:])) / (len(batches) - first))
    began = ordered[cut - 1][1] if cut else 0.0
    return ordered[cut:], ordered[-1][1] - began


@dataclass
class Standstills:
    """How often a standstill is found."""

    loops: int = 0
    """Loops with a steady part, or that would have one without the rule."""
    false: int = 0
    early: int = 0
    late: int = 0

    def add(self, jobs: Sequence[Job], users: int) -> None:
        """Judge a loop as it is, and with a standstill in its first tenth, and after its steady part."""
        part = steady_part(jobs, users)
        if part == NoSteadyPart():
            return
        self.loops += 1
        if isinstance(part, NoSteadyPart):
            self.false += 1
            return
        seconds = STANDSTILL * max(done - due for due, done in jobs)
        last = max(done for _, done in jobs)
        self.early += isinstance(steady_part(stopped(jobs, 0.2 * part.started, seconds), users), NoSteadyPart)
        self.late += isinstance(
            steady_part(stopped(jobs, part.ended + 0.3 * (last - part.ended), seconds), users), NoSteadyPart
        )

    def __str__(self) -> str:
        """Return the shares."""
        if self.loops == self.false:
            return ""
        steady = self.loops - self.false
        return f"  {self.false / self.loops:6.1%} {self.early / steady:6.1%} {self.late / steady:6.1%}"


def stopped(jobs: Sequence[Job], at: float, seconds: float) -> list[Job]:
    """Return the loop of a service that stands still from an instant on."""
    return [(due + seconds * (due > at), done + seconds * (done > at)) for due, done in jobs]


def main(repetitions: int) -> None:
    """Print a line for each service and number of jobs per virtual user."""
    typer.echo(
        f"bias ± standard deviation in %, {repetitions} repetitions: jobs/s and P95; then standstills: falsely found, "
        "found at the start, found in the drain"
    )
    for service in SERVICES:
        typer.echo(
            f"{service.name}\n  jobs per user   whole case               MSER-5                   steady part (found)"
        )
        long = service.loop(LONG * service.users, random.Random(0))
        part = steady_part(long, service.users)
        assert isinstance(part, SteadyPart)
        true = Values()
        true.add([job for job in long if part.holds(job[1])], part.seconds)
        for each in JOBS_PER_USER:
            whole, mser, steady, standstills = Values(), Values(), Values(), Standstills()
            for number in range(repetitions):
                jobs = service.loop(each * service.users, random.Random(f"{service.name}/{each}/{number}"))
                whole.add(jobs, max(done for _, done in jobs))
                mser.add(*truncated(jobs))
                standstills.add(jobs, service.users)
                if isinstance(part := steady_part(jobs, service.users), SteadyPart):
                    steady.add([job for job in jobs if part.holds(job[1])], part.seconds)
            limits = true.rates[0], true.tails[0]
            found = len(steady.rates)
            last = f"{steady.shown(*limits)} ({found / repetitions:.0%})" if found else f"   none of {LEAST_JOBS} jobs"
            typer.echo(f"  {each:13}{whole.shown(*limits)} {mser.shown(*limits)} {last}{standstills}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS)
