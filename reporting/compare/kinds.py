"""What is known of an indicator in one run beside its value: the samples it is made of, or the counts of a share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reelbench.reporting.catalogue.sli import Sli
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.evidence.measurements import Measurement
from reelbench.reporting.statistics.difference import NOWHERE, Estimate, share
from reelbench.reporting.statistics.intervals import Interval, mean_interval, percentile

SHARES = frozenset({"success_rate", "recovery_rate", "breaker_opened", "integrity_share", "cache_hit_rate"})
"""Indicators that are k of n, with n as their sample size."""
COUNTS = frozenset({"jobs_lost", "calls_while_open"})
"""Indicators that are the k of k of n: they are compared as shares."""


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
"""Indicators whose samples the client's records hold. The value is then that of the samples: exact, without buckets."""


@dataclass(frozen=True, slots=True)
class Observed:
    """An indicator in one run."""

    value: float
    samples: tuple[float, ...] = ()
    """Sorted; empty when the run holds none."""
    share: tuple[int, int] | None = None
    """k and n of a share."""
    within: Interval = NOWHERE
    """95 % interval from this run alone: by Student's t, order statistics, or Wilson's."""

    @property
    def n(self) -> int | None:
        """How many samples it is made of; None when that is not known."""
        return self.share[1] if self.share else len(self.samples) or None

    @property
    def estimate(self) -> Estimate:
        """Value and interval."""
        return Estimate(self.value, self.within)


def observe(run: Evidence, sli: Sli, place: Measurement) -> Observed | None:
    """What a run says of an indicator in a place; None when it has no data there."""
    if sli.id in SAMPLED:
        samples = tuple(sorted(SAMPLED[sli.id](run, place)))
        return _sampled(samples, sli.quantile) if samples else None
    if place.value is None:
        return None
    if sli.id in SHARES | COUNTS:
        if not place.n:
            return None
        k = round(place.value if sli.id in COUNTS else place.value * place.n)
        estimate = share(min(k, place.n), place.n)
        return Observed(estimate.value, share=(min(k, place.n), place.n), within=estimate.interval)
    return Observed(place.value)


def unit_of(sli: Sli) -> str:
    """Unit in which an indicator is compared."""
    return "ratio" if sli.id in COUNTS else sli.unit


def title_of(sli: Sli) -> str:
    """Name of an indicator, as it is compared."""
    return f"{sli.title} (share)" if sli.id in COUNTS else sli.title


def _sampled(samples: Sequence[float], q: float | None) -> Observed:
    if q is None:
        return Observed(float(np.mean(samples)), tuple(samples), within=mean_interval(samples))
    found = percentile(np.asarray(samples), q)
    return Observed(found.value, tuple(samples), within=found.interval)
