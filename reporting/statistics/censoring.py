"""Percentiles of right-censored times: a job that was cut off would have taken longer.

Leaving such jobs out would make an overloaded service look better. Here they count: a percentile is a number where
the cut-off jobs cannot change it, and "at least x" where they can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from reelbench.reporting.statistics.intervals import Interval, percentile


class Tail(msgspec.Struct, frozen=True):
    """A sample quantile with its interval by order statistics."""

    value: float
    at_least: bool
    """True when the quantile falls among cut-off jobs: only this lower limit of it is known."""
    interval: Interval
    """No upper limit where the sample is too small for one or where it falls among cut-off jobs."""

    def within(self, limit: float) -> bool:
        """True when the quantile is known to be no more than a limit."""
        return not self.at_least and self.value <= limit


def tail(known: Sequence[float], cut_off: Sequence[float], q: float) -> Tail | None:
    """Return the q-quantile of known times and of lower limits of cut-off times; None without any.

    The sample quantile rises with each of its values. So it is at least what it would be if each cut-off time were its
    lower limit, and at most what it would be if each were infinite; where both agree, it is known.
    """
    if not known and not cut_off:
        return None
    least = percentile(sorted((*known, *cut_off)), q)
    most = percentile([*sorted(known), *[math.inf] * len(cut_off)], q) if cut_off else least
    upper = most.interval.upper
    return Tail(
        value=least.value,
        at_least=least.value != most.value,
        interval=Interval(least.interval.lower, None if upper is None or math.isinf(upper) else upper),
    )
