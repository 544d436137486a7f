"""What is known of an indicator over the repetitions of a run, as it is kept in JSON."""

from __future__ import annotations

import msgspec

from reelbench.reporting.compare.folders import SCHEMA_VERSION
from reelbench.reporting.statistics.intervals import Interval

NORMAL = 1.96
"""Standard errors from the middle of a 95 % interval to its limits, where the sample is large."""


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
        """Standard deviation between runs by the standard error within the first; None when one is not known.

        About 1 where the jobs alone explain it; the standard error is the interval's width by twice 1.96.
        """
        lower, upper = self.within.lower, self.within.upper
        if self.stddev is None or lower is None or upper is None or lower == upper:
            return None
        return self.stddev / ((upper - lower) / (2 * NORMAL))


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
