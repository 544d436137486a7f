"""Restoration after faults from outside (commands, the network) as clients see it: from answers and ends of jobs.

Time to restoration runs from the request to begin the fault until the service is up again (IEC 60050-192: mean time to
restoration). Up again is the first success after which nothing was disturbed: no failure and no gap without
a success, through the end of the fault and through `STABLE_EVENTS` successes and `STABLE_SECONDS`, or until the next
fault or the end of the case. Answers to requests and ends of jobs are looked at apart; the service is restored when
both are undisturbed again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec

from reelbench.loadgen.record.jobs import JobRecord, Outcome
from reelbench.loadgen.record.run import FaultRecord
from reelbench.reporting.evidence.evidence import STOPPED, Evidence
from reelbench.reporting.evidence.requests import Request
from reelbench.reporting.statistics.intervals import Interval, mean_interval

STABLE_EVENTS = 10
STABLE_SECONDS = 5.0
GAP_FACTOR = 3.0
"""A gap between two successes this many times as long as the longest one before the first fault is a disturbance."""
GAP_SHARE = 0.5
"""A gap of less than this share of the longest one in the window of a fault is a hiccup, no disturbance."""
MEDIAN_FACTOR = 10.0
"""The same for the median of the gaps, where there are fewer than `ENOUGH_GAPS` gaps before the first fault."""
ENOUGH_GAPS = 5
LEAST_GAP = 0.1
"""Seconds; a shorter gap is no disturbance."""
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500

Event = tuple[float, bool]
"""Instant, and whether it was a success."""


class Disturbance(msgspec.Struct, frozen=True):
    """What a fault did to one sort of events."""

    failures: int
    """Failures from the beginning of the fault to the restoration, or to the end of the window."""
    gap: float
    """Longest time without a success that touches it, in seconds."""
    restored: float | None
    """First success of the undisturbed time; None: not within the window."""


class Restoration(msgspec.Struct, frozen=True):
    """One fault from outside as clients saw it. All instants are Unix time in seconds."""

    fault: FaultRecord
    on: float
    """When the fault was asked to begin."""
    off: float
    """When the fault was asked to end; of one that ends by itself, when it had begun."""
    until: float
    """The next fault, or the end of the case."""
    answers: Disturbance | None
    """None: requests were answered as before."""
    jobs: Disturbance | None
    """None: jobs ended as before."""
    first_answer: float | None
    """First successful answer after the end of the fault."""
    first_job: float | None
    """Completion of the first job that was sent after the end of the fault."""

    @property
    def noticed(self) -> bool:
        """Whether clients could tell."""
        return self.answers is not None or self.jobs is not None

    @property
    def restored(self) -> float | None:
        """When the service was up again; None: not within the window, or never away."""
        found = [part.restored for part in (self.answers, self.jobs) if part is not None]
        known = [instant for instant in found if instant is not None]
        return max(known) if known and len(known) == len(found) else None

    @property
    def seconds(self) -> float | None:
        """Time to restoration."""
        return self.restored - self.on if self.restored is not None else None

    @property
    def over(self) -> float:
        """When both the fault and its effect had ended."""
        return max(self.off, self.fault.ended or self.until, self.restored or (self.until if self.noticed else 0.0))


class MeanTime(msgspec.Struct, frozen=True):
    """Times to restoration of several faults, in seconds."""

    n: int
    """Faults that clients noticed and after which the service was restored."""
    censored: int
    """Faults after which it was not, within the case."""
    unnoticed: int
    mean: float
    interval: Interval
    """Of the mean, by Student's t."""
    minimum: float
    maximum: float


def restorations(evidence: Evidence, *scenarios: str) -> tuple[Restoration, ...]:
    """Return the faults from outside that began, in order of time, with their effects."""
    faults = [fault for fault in evidence.faults(*scenarios) if fault.outside and fault.error is None]
    return tuple(_restoration(evidence, fault, faults) for fault in faults)


def mean_time(found: Sequence[Restoration]) -> MeanTime | None:
    """Return the figures of the faults after which the service was restored; None without any."""
    times = [one.seconds for one in found if one.seconds is not None]
    if not times:
        return None
    return MeanTime(
        n=len(times),
        censored=sum(1 for one in found if one.noticed and one.restored is None),
        unnoticed=sum(1 for one in found if not one.noticed),
        mean=sum(times) / len(times),
        interval=mean_interval(times),
        minimum=min(times),
        maximum=max(times),
    )


def requests_of(evidence: Evidence, scenario: str, case: str) -> list[Request]:
    """Return the measured requests of a case, without those to remove jobs afterwards."""
    return evidence.requests.of_case(scenario, case)


def answered(request: Request) -> bool:
    """Return whether the service was there for a request: any answer but 5xx."""
    return request.status is not None and request.status < SERVER_ERROR


def _restoration(evidence: Evidence, fault: FaultRecord, faults: list[FaultRecord]) -> Restoration:
    place = (fault.scenario, fault.case)
    mine = sorted(_on(other) for other in faults if (other.scenario, other.case) == place)
    on = _on(fault)
    off = fault.asked_to_end or fault.ended or float("inf")
    jobs = evidence.case_jobs(*place)
    requests = requests_of(evidence, *place)
    until = min([instant for instant in mine if instant > on], default=_end(evidence, fault, jobs))
    # A server that throttles is there, but does not serve: 429 is neither a success nor a failure.
    answers = sorted((r.sent + r.duration, answered(r)) for r in requests if r.status != TOO_MANY_REQUESTS)
    ends = sorted((j.done, j.outcome is Outcome.COMPLETED) for j in jobs if j.outcome not in STOPPED)
    return Restoration(
        fault=fault,
        on=on,
        off=min(off, until),
        until=until,
        answers=disturbance(answers, mine[0], on, min(off, until), until),
        jobs=disturbance(ends, mine[0], on, min(off, until), until),
        first_answer=next((at for at, good in answers if good and off <= at < until), None),
        first_job=min((j.done for j in jobs if j.outcome is Outcome.COMPLETED and off <= j.sent < until), default=None),
    )


def disturbance(events: Sequence[Event], first_on: float, on: float, off: float, until: float) -> Disturbance | None:
    """Return what a fault did to a sequence of events in order of time; None: nothing.

    Where some events failed before the first fault, failures say nothing of a fault, and only gaps count.

    Args:
        events: all events of the case.
        first_on: beginning of the first fault of the case.
        on: beginning of this fault.
        off: end of this fault.
        until: end of the time that belongs to this fault.
    """
    longest = longest_usual_gap(events, first_on)
    if longest is None:
        return None
    before = max((at for at, good in events if good and at < on), default=on)
    window = [event for event in events if on <= event[0] < until]
    good = [at for at, success in window if success]
    usual = any(not success for at, success in events if at < first_on)
    bad = [] if usual else [at for at, success in window if not success]
    spans = list(pairwise([max(before, on - longest), *good, until]))
    least = max(longest, GAP_SHARE * max(b - a for a, b in spans))
    gaps = [(a, b) for a, b in spans if b - a > least]
    if not bad and not gaps:
        return None
    restored = None
    for number, at in enumerate(good):
        horizon = _horizon(good, number, off, until)
        next_bad = bisect_right(bad, at)
        failed = next_bad < len(bad) and bad[next_bad] <= horizon
        if not failed and not any(at <= begin < horizon for begin, _ in gaps):
            restored = at
            break
    first_bad = min([*bad, *(b for _, b in gaps)])
    if restored is not None and restored <= first_bad and not any(b == restored for _, b in gaps):
        return None  # what was disturbed lies behind the time in which the fault had no effect
    end = until if restored is None else restored
    touching = [b - a for a, b in pairwise([before, *good, until]) if a < end and b > on]
    return Disturbance(
        failures=sum(1 for at in bad if at <= end), gap=max(touching, default=until - on), restored=restored
    )


def longest_usual_gap(events: Sequence[Event], first_on: float) -> float | None:
    """Return the longest time between two successes that is no disturbance; None: too few events to know."""
    good = [at for at, success in events if success]
    calm = [b - a for a, b in pairwise(good) if b <= first_on]
    if len(calm) >= ENOUGH_GAPS:
        return max(LEAST_GAP, GAP_FACTOR * max(calm))
    gaps = [b - a for a, b in pairwise(good)]
    return max(LEAST_GAP, MEDIAN_FACTOR * median(gaps)) if len(gaps) >= ENOUGH_GAPS else None


def _horizon(good: Sequence[float], number: int, off: float, until: float) -> float:
    """Return until when nothing may be disturbed for the success of that number to be the restoration."""
    last = number + STABLE_EVENTS - 1
    enough = good[last] if last < len(good) else until
    return min(max(off, enough, good[number] + STABLE_SECONDS), until)


def _on(fault: FaultRecord) -> float:
    return fault.asked if fault.asked is not None else fault.started


def _end(evidence: Evidence, fault: FaultRecord, jobs: Sequence[JobRecord]) -> float:
    """Return the end of the case of a fault."""
    scenario = evidence.scenario(fault.scenario)
    ended = next((case.ended for case in scenario.cases if case.name == fault.case), None) if scenario else None
    return ended if ended is not None else max([fault.started, *(job.done for job in jobs)])
