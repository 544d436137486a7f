"""Error budgets: how fast a service uses up the share of bad events that its objectives allow.

An alert needs a long window, so that a short spike does not page, and a short one, so that it ends when the trouble
does. A factor at which even nothing but bad events would not reach the threshold is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reelbench.monitoring import promql
from reelbench.monitoring.objectives import matchers
from reelbench.reporting.catalogue.sli import Catalogue, Sli

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""Ranges over which error ratios are recorded."""
_DIGITS = 9
_SELECTOR = re.compile(r"(\w+)_bucket\{([^}]*)\}")
_PLACE = re.compile(r'\b(?:run_id|scenario|case)="\$\w+",?')


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """One pair of windows."""

    factor: float
    """Budget use over that of a service that uses it up just in time."""
    long: str
    short: str
    hold: str
    """How long the condition must hold."""
    severity: str


ALERTS = (
    BurnAlert(14.4, "1h", "5m", "2m", "critical"),
    BurnAlert(6, "6h", "30m", "15m", "critical"),
    BurnAlert(3, "1d", "2h", "1h", "warning"),
    BurnAlert(1, "3d", "6h", "3h", "warning"),
)


@dataclass(frozen=True, slots=True)
class Budget:
    """The error budget of one objective."""

    sli: Sli

    @property
    def title(self) -> str:
        """Legend of its series."""
        return f"{self.sli.title}{f' {{{{{self.sli.by.label}}}}}' if self.sli.by else ''}"

    @property
    def budget(self) -> float:
        """Share of the events that may be bad."""
        assert self.sli.objective is not None, "only indicators with an objective have a budget"
        good = self.sli.quantile if self.sli.quantile is not None else self.sli.objective.value
        return round(1 - good, _DIGITS)

    @property
    def alerts(self) -> tuple[BurnAlert, ...]:
        """The alerts that can fire at all."""
        return tuple(alert for alert in ALERTS if alert.factor * self.budget < 1)

    def record(self, window: str) -> str:
        """Name of the recorded error ratio."""
        return f"slo:{self.sli.id}:error_ratio_rate{window}"

    def error_ratio(self, window: str) -> str:
        """Share of bad events among those of the window, of all runs and of the scenarios that are judged."""
        sli, by = self.sli, (self.sli.by.label,) if self.sli.by else ()
        where = matchers(sli)
        assert sli.query is not None, "only indicators with a query have a budget"
        if sli.quantile is None:
            chosen = ",".join(filter(None, ('run_id!=""', where)))
            good = promql.everywhere(sli.query, by=(), window=window, function="rate", matchers=chosen)
            return f"1 - ({good})"
        assert sli.objective is not None, "only indicators with an objective have a budget"
        found = _SELECTOR.search(sli.query)
        assert found is not None, "a quantile is one of buckets"
        selector = ",".join(filter(None, ('run_id!=""', _PLACE.sub("", found[2]).strip(","), where)))
        return f"1 - ({promql.within(sli.objective.value, found[1], selector, by=by, window=window)})"


def budgets(catalogue: Catalogue) -> Iterator[Budget]:
    """The objectives that are shares of events: ratios of counters, and quantiles with an upper limit."""
    for sli in catalogue.slis:
        if sli.objective is None or not sli.watchable or not promql.counts_events(_classic(sli)):
            continue
        upper = sli.objective.direction == "at_most"
        is_ratio = sli.unit == "ratio" and not upper and 0 < sli.objective.value < 1
        if is_ratio or (sli.quantile is not None and upper):
            yield Budget(sli)


def _classic(sli: Sli) -> tuple[str, ...]:
    """The metrics of an indicator without the native histograms, which stand beside their classic form."""
    names = set(sli.metrics)
    return tuple(name for name in sli.metrics if not {f"{name}_bucket", f"{name}_count", f"{name}_sum"} & names)
