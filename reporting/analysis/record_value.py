"""The value of an indicator that is computed from records."""

from __future__ import annotations

import msgspec

from reelbench.reporting.statistics.intervals import Interval

MAXIMUM, MAXIMUM_OPEN = "observed maximum", "no sample gives an upper limit of a maximum"
"""Method of the interval of a maximum, which is its own lower limit."""
SLOPE = "Theil and Sen"
"""Method of the interval of a growth, from the slope of a trend."""


class RecordValue(msgspec.Struct, frozen=True):
    """A number with its sample size."""

    value: float
    n: int
    interval: Interval | None = None
    """95 % interval of the value; None where there is none."""
    method: str = ""
    """How the interval was computed."""
    open_end: str = ""
    """Why no sample can give both limits; empty where a larger one can."""
