"""Error budgets: how fast a service uses up the share of bad events that its objectives allow.

An alert has a long window, so a short spike does not raise it, and a short one, so it ends with the problem. Alerts
whose threshold is above 100 % bad events are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reelbench.monitoring import promql
from reelbench.monitoring.objectives import matchers
from reelbench.monitoring.promql import Expr, formula
from reelbench.reporting.catalogue.sli import PLACES, Catalogue, Sli

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""Ranges over which error ratios are recorded."""
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """One pair of windows."""

    factor: float
    """Speed of budget use; 1 uses up the budget exactly at the end of its period."""
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
        """The alerts that can fire."""
        return tuple(alert for alert in ALERTS if alert.factor * self.budget < 1)

    def record(self, window: str) -> str:
        """Name of the recorded error ratio."""
        return f"slo:{self.sli.id}:error_ratio_rate{window}"

    def error_ratio(self, window: str) -> Expr:
        """Return the share of bad events in the window, of all runs and of the scenarios with the objective."""
        sli, where, labels = self.sli, ('run_id!=""', *matchers(self.sli)), PLACES[self.sli.scope]
        assert sli.query is not None, "only indicators with a query have a budget"
        if sli.quantile is None:
            text = promql.everywhere(sli.query, labels, by=(), window=window, matchers=where, function="rate")
            return formula("1 - ($good)", good=Expr(text, frozenset(sli.metrics)))
        assert sli.objective is not None, "only indicators with an objective have a budget"
        histogram = next(name for name in sli.metrics if name.endswith("_bucket")).removesuffix("_bucket")
        selector = sli.query.partition(f"{histogram}_bucket{{")[2].partition("}")[0]
        own = tuple(filter(None, [selector.removeprefix(promql.placed(labels)).lstrip(",")]))
        by = (sli.by.label,) if sli.by else ()
        chosen = (where[0], *own, *where[1:])
        return formula("1 - ($good)", good=promql.within(sli.objective.value, histogram, *chosen, by=by, window=window))


def budgets(catalogue: Catalogue) -> Iterator[Budget]:
    """Return the objectives that are shares of events: ratios of counters, and quantiles with an upper limit."""
    for sli in catalogue.slis:
        if sli.objective is None or not sli.watchable or not promql.counts_events(_classic(sli)):
            continue
        upper = sli.objective.direction == "at_most"
        is_ratio = sli.unit == "ratio" and not upper and 0 < sli.objective.value < 1
        if is_ratio or (sli.quantile is not None and upper):
            yield Budget(sli)


def _classic(sli: Sli) -> tuple[str, ...]:
    """Return the metrics of an indicator without native histograms that also have a classic form."""
    names = set(sli.metrics)
    return tuple(name for name in sli.metrics if not {f"{name}_bucket", f"{name}_count", f"{name}_sum"} & names)
