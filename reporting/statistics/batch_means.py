"""The interval of a rate from one stretch of time: batch means.

The stretch is cut into batches of equal length; the rate of each batch is one value, and Student's t gives the interval
of their mean, which is the rate of the whole stretch (A. M. Law, Simulation Modeling and Analysis, 5th ed., 2015,
section 9.5.3). Events of one batch may depend on each other; batches that are long against one job hardly do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reelbench.reporting.statistics.intervals import Interval, mean_interval

BATCHES = 10
"""Fewer widen the interval, more leave too few events in each batch."""
LEAST_EVENTS = 2
"""Events a batch from which a rate has an interval."""


def rate_interval(events: Sequence[float] | NDArray[np.float64], started: float, ended: float) -> Interval:
    """Return the 95 % interval of the events per second between two times; no limits for too few events."""
    at = np.asarray(events, dtype=float)
    within = at[(started <= at) & (at <= ended)]
    if ended <= started or len(within) < LEAST_EVENTS * BATCHES:
        return Interval(None, None)
    counts, _ = np.histogram(within, bins=BATCHES, range=(started, ended))
    return mean_interval([float(count) * BATCHES / (ended - started) for count in counts])
