"""Waits with a deadline: for a component to answer, and for the last samples of a run's telemetry."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from reelbench.stack import http
from reelbench.stack.errors import StackError

POLL = 0.03
"""Seconds between two polls."""
_TIMEOUT = 1.0
T = TypeVar("T")


def poll(
    look: Callable[[], T | None],
    awaited: str,
    *,
    deadline: float,
    logs: Path | None = None,
    interval: float = POLL,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `look` until it returns a value that is not None, and return that value.

    Args:
        look: Polls once; an exception ends the polling early.
        awaited: What is awaited, as a noun phrase for the error.
        deadline: Seconds from now.
        logs: The log, or the folder of logs, that explains a failure.
        interval: Seconds between two polls.
        clock: Monotonic seconds.
        sleep: Waits for that many seconds.

    Raises:
        StackError: the deadline passed.
    """
    end = clock() + deadline
    while (found := look()) is None:
        if clock() >= end:
            see = f"; see {logs}" if logs else ""
            raise StackError(f"Gave up after {deadline:g} s waiting for {awaited}{see}.", logs=logs)
        sleep(interval)
    return found


def answers(url: str) -> bool:
    """Return True when the URL answers with status 200.

    A bare connection finds that nothing listens on a port, at a hundredth of the CPU time of an HTTP client: while the
    stack starts, its processes need the cores.
    """
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_TIMEOUT).close()
    except OSError:
        return False
    try:
        return http.get(url, timeout=_TIMEOUT).ok
    except StackError:
        return False


DEADLINE = 15.0
"""Seconds to wait for the last target."""
_INTERVAL = 0.1
_ADJUSTED = 0.002
"""Prometheus shifts the time of a sample by up to 2 ms to align it (``--scrape.timestamp-tolerance``)."""
_QUERY_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class TelemetryEnd:
    """The end of a run's telemetry."""

    instant: float
    """Unix time in seconds at which all queries of the run are evaluated."""
    complete: bool
    """True when every component has a sample from after the load."""
    missing: list[str]
    """The components without such a sample."""


def await_telemetry(
    prometheus_url: str,
    selectors: Mapping[str, str],
    after: float,
    *,
    value: float | None = 1,
    ended: Callable[[], Collection[str]] = tuple,
    least: Mapping[str, int] = MappingProxyType({}),
    earlier: Mapping[str, float] = MappingProxyType({}),
    deadline: float = DEADLINE,
    ahead: float = 0.0,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> TelemetryEnd:
    """Poll until each selector has a raw sample taken at or after `after`.

    Raw samples are searched, so a component that has ended since then counts. The instant is the first at which all
    components are visible: the latest of their earliest samples.

    Args:
        prometheus_url: Base URL.
        selectors: Component -> instant vector selector of what it sends, such as ``up{job="x"}``.
        after: Unix time in seconds at which the load ended.
        value: The value that a sample must have to count; None: any.
        least: Series of a component that must each have such a sample, where it has several; default: one.
        earlier: Instants that stand in place of `after` for some components.
        ended: Returns the components that have ended, which will send no more samples.
        deadline: Seconds to wait at most.
        ahead: Seconds by which the clock of Prometheus is ahead of the one on which `after` and the result are.
        clock: Unix time in seconds, on the clock of `after`.
        sleep: Waits for that many seconds.
    """
    end = clock() + deadline
    seen: dict[str, float] = {}
    while True:
        over = frozenset(ended())  # before the query, so that everything scraped of them is visible in it
        for name in selectors.keys() - seen.keys():
            since = earlier.get(name, after)
            sampled = _first_sample(
                prometheus_url, selectors[name], value, since + ahead, clock() + ahead, least=least.get(name, 1)
            )
            if sampled is not None:
                seen[name] = sampled - ahead
        missing = [name for name in selectors if name not in seen]
        if not missing:
            return TelemetryEnd(max(seen.values(), default=after), complete=True, missing=[])
        if over.issuperset(missing) or clock() >= end:
            return TelemetryEnd(clock(), complete=False, missing=missing)
        sleep(_INTERVAL)


def _first_sample(
    prometheus_url: str, selector: str, wanted: float | None, after: float, now: float, *, least: int
) -> float | None:
    """Return the time at which as many series as `least` have a sample; None: not yet."""
    window = max(1, int(now - after) + 2)
    try:
        series = http.query(prometheus_url, f"{selector}[{window}s]", at=now, timeout=_QUERY_TIMEOUT)
    except StackError:
        return None  # busy or gone: try again until the deadline
    times = [
        [
            float(when)
            for when, value in one["values"]
            if (wanted is None or float(value) == wanted) and float(when) >= after + _ADJUSTED
        ]
        for one in series
    ]
    first = sorted(min(some) for some in times if some)
    return first[least - 1] if len(first) >= least else None
