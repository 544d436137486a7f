"""Arrival times of the jobs of an open case, determined by the seed before the first job is sent.

Constant arrivals are evenly spaced: k / rate, from the start of each stretch of one rate. Poisson arrivals have
exponential gaps, as many independent users have; the process has no memory, so a new rate begins with a new gap.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from reelbench.loadgen.plan.scenario import PROFILES, Case, Profile

MOST_JOBS = 100_000
"""Maximum jobs of a case, as in a closed one."""
MICRO = 1_000_000
"""Offsets are whole microseconds, so the last digits of a logarithm do not change the bytes of a plan; rounded down, so
the last arrival is before the end."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a case with one rate; seconds count from the start of the measured part."""

    start: int
    end: int
    rate: Fraction
    """Jobs per second, exactly as in the file."""

    @property
    def count(self) -> int:
        """Number of constant arrivals: k / rate for every k before the end."""
        return math.ceil(self.rate * (self.end - self.start))


def arrivals(case: Case, profile: Profile, place: str) -> tuple[float, ...]:
    """Return the offsets of all arrivals of an open case, ascending; those of the warm-up are negative.

    Args:
        case: an open case.
        profile: selects rates and lengths.
        place: seed, scenario and case as text, the seed of the random stream.
    """
    parts = stretches(case, profile)
    if case.arrivals == "constant":
        exact = (part.start + k / part.rate for part in parts for k in range(part.count))
        return tuple(math.floor(offset * MICRO) / MICRO for offset in exact)
    stream = random.Random(int.from_bytes(hashlib.sha256(place.encode()).digest()))
    return tuple(offset for part in parts for offset in _poisson(part, stream))


def stretches(case: Case, profile: Profile) -> tuple[Stretch, ...]:
    """Divide an open case into parts of one rate: warm-up, base, burst, base."""
    assert case.rate is not None, "the scenario is checked"
    assert case.seconds is not None, "the scenario is checked"
    base, end = _exact(case.rate.of(profile)), case.seconds.of(profile)
    found = [Stretch(-case.warmup_seconds.of(profile), 0, base)]
    if case.burst is None:
        found.append(Stretch(0, end, base))
    else:
        at = case.burst.at.of(profile)
        over = at + case.burst.seconds.of(profile)
        found += [
            Stretch(0, at, base),
            Stretch(at, over, _exact(case.burst.rate.of(profile))),
            Stretch(over, end, base),
        ]
    return tuple(part for part in found if part.end > part.start)


def expected_jobs(case: Case, profile: Profile) -> int:
    """Return the number of measured jobs of a case; the mean for Poisson arrivals."""
    if case.model != "open":
        return case.iterations.of(profile)
    return round(sum(part.rate * (part.end - part.start) for part in stretches(case, profile) if part.start >= 0))


def problems(case: Case) -> Iterator[str]:
    """Yield one line for each impossible combination of values in an open case, with its cure."""
    if case.model != "open" or case.rate is None or case.seconds is None:
        return
    for profile in PROFILES:
        if case.burst is not None:
            over, end = case.burst.at.of(profile) + case.burst.seconds.of(profile), case.seconds.of(profile)
            if over >= end:
                yield (
                    f"burst: ends after {over} s in the profile {profile}, but jobs arrive for {end} s; make seconds "
                    "longer, recovery is measured after the burst"
                )
                continue
        jobs = sum(part.rate * (part.end - part.start) for part in stretches(case, profile))
        if jobs > MOST_JOBS:
            yield (
                f"rate: gives {math.ceil(jobs):,} jobs in the profile {profile}, more than {MOST_JOBS:,}; lower it, or "
                "make seconds shorter"
            )
        if case.rate.of(profile) * case.seconds.of(profile) < 1:
            yield f"rate: gives less than one job in the profile {profile}; raise it, or make seconds longer"


def _poisson(part: Stretch, stream: random.Random) -> Iterator[float]:
    offset, rate = float(part.start), float(part.rate)
    while (offset := offset + stream.expovariate(rate)) < part.end:
        yield math.floor(offset * MICRO) / MICRO


def _exact(rate: float) -> Fraction:
    """Return the decimal number of the file: 0.1 is a tenth, not the nearest binary fraction."""
    return Fraction(str(rate))
