"""Observations: the value of an indicator in one run, with its samples or with the counts of a share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from reelbench.reporting.analysis.estimates import estimate
from reelbench.reporting.catalogue.sli import Kind, Role, Samples, Sli
from reelbench.reporting.compare.side import Side
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics.difference import NOWHERE, Estimate, share
from reelbench.reporting.statistics.intervals import Interval, mean_interval, percentile


class Observation(msgspec.Struct, frozen=True):
    """The value of an indicator in one run."""

    value: float
    samples: tuple[float, ...] = ()
    """Sorted; empty when the run holds none."""
    share: tuple[int, int] | None = None
    """k and n of a share."""
    within: Interval = NOWHERE
    """95 % interval from this run alone: by Student's t, order statistics, or Wilson's method."""

    @property
    def estimate(self) -> Estimate:
        """Value and interval."""
        return Estimate(self.value, self.within)


def places(side: Side, sli: Sli) -> list[Measurement]:
    """Return the places in which the first run of a side measured an indicator."""
    return [m for m in side.runs[0].measurements.measurements if m.sli == sli.id]


def observations(side: Side, sli: Sli, place: Measurement) -> tuple[Observation, ...]:
    """Return one observation for each run of a side that has data in this place."""
    measured = ((run, run.measured(sli.id, place.scenario, place.case, place.member)) for run in side.runs)
    return tuple(o for run, m in measured if m is not None and (o := _observe(run, sli, m)) is not None)


def mean(observed: Sequence[Observation]) -> float | None:
    """Return the mean of the values; None without any."""
    return math.fsum(o.value for o in observed) / len(observed) if observed else None


def identity(sli: Sli, place: Measurement) -> dict[str, str]:
    """Return the fields that identify a compared indicator in a record; a count is compared as a share."""
    counted = sli.kind is Kind.COUNT
    return {
        "sli": sli.id,
        "title": f"{sli.title} (share)" if counted else sli.title,
        "unit": "ratio" if counted else sli.unit,
        "scenario": place.scenario,
        "case": place.case,
        "member": place.member,
    }


def _observe(run: Evidence, sli: Sli, place: Measurement) -> Observation | None:
    if sli.samples is not None:
        of_jobs = sli.samples is Samples.RESPONSE_TIMES
        times = (
            run.response_times(place.scenario, place.case) if of_jobs else run.durations(place.scenario, place.member)
        )
        return _sampled(tuple(sorted(times)), sli.quantile) if times else None
    if place.value is None:
        return None
    if sli.role in {Role.THROUGHPUT, Role.REQUEST_RATE}:
        rate = estimate(run, sli, place)
        return None if rate.value is None else Observation(rate.value)
    if sli.kind not in {Kind.SHARE, Kind.COUNT}:
        return Observation(place.value)
    if not place.n:
        return None
    k = min(round(place.value if sli.kind is Kind.COUNT else place.value * place.n), place.n)
    found = share(k, place.n)
    return Observation(found.value, share=(k, place.n), within=found.interval)


def _sampled(samples: tuple[float, ...], q: float | None) -> Observation:
    """Return a mean or a quantile of the client's samples: exact, without buckets."""
    if q is None:
        return Observation(float(np.mean(samples)), samples, within=mean_interval(samples))
    found = percentile(np.asarray(samples), q)
    return Observation(found.value, samples, within=found.interval)
