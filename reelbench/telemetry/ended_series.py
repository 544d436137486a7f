"""Series of ended cases, which a scrape may leave out because Prometheus has their last value.

A series that is missing from a page gets a stale marker: ``last_over_time`` still finds its total, an instant selector
finds nothing. So this is for a Prometheus of which all readers ask with ``last_over_time``: that of the embedded stack.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.sdk.metrics.export import Histogram, Sum

CASE: Final = "run_id"
"""Attribute of the series that belong to one case."""
AGE: Final = 10.0
"""Seconds without a change after which a series may be left out."""
SERVED: Final = 20
"""Pages that must have had the present value: one scrape fewer than these may fail in a row without a loss."""
PERIOD: Final = 60.0
"""Seconds between two times at which everything is on the page again, for a Prometheus that lost more scrapes."""
WHOLE_SECONDS: Final = 2.0
WHOLE_PAGES: Final = 3
"""Each period begins with whole pages: for so many seconds, and until so many pages were served."""


class EndedSeries:
    """Decides at each scrape which series the page leaves out. The clock is an argument: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = self.now = clock()
        self._pages = 0

    now: float
    """Time of the scrape."""

    def scrape(self) -> None:
        """Begin a page."""
        self.now = self._clock()
        if self.now - self._begun >= PERIOD:
            self._begun, self._pages = self.now, 0
        self._pages += 1

    def over(self, since: float, served: int) -> bool:
        """Return whether a series may be left out: its value is unchanged `since` then, and was on `served` pages."""
        whole = self.now - self._begun < WHOLE_SECONDS or self._pages <= WHOLE_PAGES
        return not whole and served >= SERVED and self.now - since >= AGE


def of_case(data: object, attributes: Any) -> bool:
    """Return whether a series is a total of one case. A gauge is none: its value holds as long as it is repeated."""
    total = isinstance(data, Histogram) or (isinstance(data, Sum) and data.is_monotonic)
    return total and bool((attributes or {}).get(CASE))
