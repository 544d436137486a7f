"""What is known of an indicator over the repetitions of a run, as it is kept in JSON."""

from __future__ import annotations

import msgspec

from reporting.compare.folders import SCHEMA_VERSION
from reporting.statistics import Interval


class Repeated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One indicator in one place over the runs that have data there. Values are in `unit`."""

    sli: str
    title: str
    unit: str
    scenario: str
    case: str
    member: str
    values: tuple[float, ...]
    """In the order of the runs."""
    n: int
    """Runs."""
    mean: float
    interval: Interval
    """95 % interval of the mean over runs, by Student's t; no limits for one run."""
    median: float
    median_interval: Interval
    """95 % interval of the median by order statistics; no limits for fewer than 6 runs."""
    stddev: float | None
    """Of the runs (n - 1)."""
    cv: float | None
    """Standard deviation by mean; None without either."""
    minimum: float
    maximum: float
    within: Interval
    """95 % interval from the first run alone; no limits where its records hold no samples."""

    @property
    def spread(self) -> float | None:
        """How many times as wide the interval over runs is as that within the first; None when one is not known."""
        limits = (self.interval.lower, self.interval.upper, self.within.lower, self.within.upper)
        if None in limits or self.within.upper == self.within.lower:
            return None
        lower, upper, below, above = (limit for limit in limits if limit is not None)
        return (upper - lower) / (above - below)


class RepetitionsRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All repetitions of a run."""

    schema_version: int = SCHEMA_VERSION
    name: str
    runs: tuple[str, ...]
    """Their folders lie beside that of the repetitions."""
    plan_hashes: tuple[str, ...]
    """One, unless the runs were not of one plan."""
    problems: tuple[str, ...]
    """What keeps a run from being a repetition."""
    indicators: tuple[Repeated, ...]
