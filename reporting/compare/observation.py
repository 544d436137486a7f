"""Observations: the value of an indicator in one run, with its samples or with the counts of a share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reelbench.reporting.catalogue.sli import Sli
from reelbench.reporting.compare.side import Side
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics.difference import NOWHERE, Estimate, share
from reelbench.reporting.statistics.intervals import Interval, mean_interval, percentile

SHARES = frozenset({"success_rate", "recovery_rate", "breaker_opened", "integrity_share", "cache_hit_rate"})
"""Indicators that are k of n, with n as their sample size."""
COUNTS = frozenset({"jobs_lost", "calls_while_open"})
"""Indicators that are the k of k of n, compared as shares."""


def _job_times(run: Evidence, place: Measurement) -> list[float]:
    return run.response_times(place.scenario, place.case)


def _request_times(run: Evidence, place: Measurement) -> list[float]:
    return run.durations(place.scenario, place.member)


SAMPLED: dict[str, Callable[[Evidence, Measurement], list[float]]] = {
    "response_time_avg": _job_times,
    "response_time_p50": _job_times,
    "response_time_p95": _job_times,
    "response_time_p99": _job_times,
    "api_latency_avg": _request_times,
    "api_latency_p95": _request_times,
}
"""Indicators with samples in the client's records. Their value is computed from the samples: exact, without buckets."""


@dataclass(frozen=True, slots=True)
class Observation:
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
    counted = sli.id in COUNTS
    return {
        "sli": sli.id,
        "title": f"{sli.title} (share)" if counted else sli.title,
        "unit": "ratio" if counted else sli.unit,
        "scenario": place.scenario,
        "case": place.case,
        "member": place.member,
    }


def _observe(run: Evidence, sli: Sli, place: Measurement) -> Observation | None:
    if sli.id in SAMPLED:
        samples = tuple(sorted(SAMPLED[sli.id](run, place)))
        return _sampled(samples, sli.quantile) if samples else None
    if place.value is None:
        return None
    if sli.id not in SHARES | COUNTS:
        return Observation(place.value)
    if not place.n:
        return None
    k = min(round(place.value if sli.id in COUNTS else place.value * place.n), place.n)
    estimate = share(k, place.n)
    return Observation(estimate.value, share=(k, place.n), within=estimate.interval)


def _sampled(samples: tuple[float, ...], q: float | None) -> Observation:
    if q is None:
        return Observation(float(np.mean(samples)), samples, within=mean_interval(samples))
    found = percentile(np.asarray(samples), q)
    return Observation(found.value, samples, within=found.interval)
