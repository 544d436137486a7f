"""Waits until Prometheus has a sample of every component that was taken after the end of the load."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from reelbench.stack import http
from reelbench.stack.errors import StackError

DEADLINE = 15.0
"""Seconds to wait for the last target."""
_INTERVAL = 0.1
_ADJUSTED = 0.002
"""Prometheus shifts the time of a sample by up to 2 ms to align it (``--scrape.timestamp-tolerance``)."""
_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class TelemetryEnd:
    """The end of a run's telemetry."""

    instant: float
    """Unix time in seconds at which all queries of the run are evaluated."""
    complete: bool
    """True when every component has a sample from after the load."""
    missing: list[str]
    """The components without a sample from after the load."""


def await_telemetry(
    prometheus_url: str,
    selectors: Mapping[str, str],
    after: float,
    *,
    value: float | None = 1,
    ended: Callable[[], Collection[str]] = tuple,
    deadline: float = DEADLINE,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> TelemetryEnd:
    """Poll until each selector has a raw sample taken at or after `after`.

    Raw samples are searched, so a component that ended after its sample also counts. The returned instant is the first
    at which all components are visible: the latest of their earliest samples.

    Args:
        prometheus_url: Base URL.
        selectors: Component -> instant vector selector of one of its series, such as ``up{job="x"}``.
        after: Unix time in seconds at which the load ended.
        value: The value that a sample must have to count; None: any.
        ended: Returns the components that have ended and will send no more samples.
        deadline: Seconds to wait at most.
        clock: Unix time in seconds.
        sleep: Waits for that many seconds.
    """
    end = clock() + deadline
    seen: dict[str, float] = {}
    while True:
        over = frozenset(ended())  # before the query, so the query sees all of their samples
        for name in selectors.keys() - seen.keys():
            sampled = _first_sample(prometheus_url, selectors[name], value, after, clock())
            if sampled is not None:
                seen[name] = sampled
        missing = [name for name in selectors if name not in seen]
        if not missing:
            return TelemetryEnd(max(seen.values(), default=after), complete=True, missing=[])
        if over.issuperset(missing) or clock() >= end:
            return TelemetryEnd(clock(), complete=False, missing=missing)
        sleep(_INTERVAL)


def _first_sample(prometheus_url: str, selector: str, wanted: float | None, after: float, now: float) -> float | None:
    window = max(1, int(now - after) + 2)
    try:
        series = http.query(prometheus_url, f"{selector}[{window}s]", at=now, timeout=_TIMEOUT)
    except StackError:
        return None  # Prometheus is busy or down: try again until the deadline
    times = [
        float(when)
        for one in series
        for when, value in one["values"]
        if (wanted is None or float(value) == wanted) and float(when) >= after + _ADJUSTED
    ]
    return min(times, default=None)
