"""The objectives that Prometheus can watch during a run: recorded series, places, panels and error budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reelbench.monitoring.panels import Group, Kind, Line, Panel, Query
from reelbench.monitoring.promql import (
    PLACE,
    Expr,
    aggregate,
    counts_events,
    everywhere,
    formula,
    placed,
    select,
    within,
)
from reelbench.reporting.catalogue.sli import PLACES, Catalogue, Objective, Sli
from reelbench.reporting.document.grafana_links import panel_title
from reelbench.reporting.document.text import with_unit

WINDOW = "5m"
"""How long the last total of a case counts as the present one; a run that ended earlier raises no alert."""
SPEED_WINDOW = "1m"


@dataclass(frozen=True, slots=True)
class Watched:
    """An indicator of the catalogue as a recorded series, for all runs at once."""

    sli: Sli

    @property
    def record(self) -> str:
        """Name of the recorded series: scope, indicator, operation."""
        return f"{self.sli.scope}:{self.sli.id}:{f'rate{SPEED_WINDOW}' if self.sli.per_second else 'total'}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the recorded series."""
        return (*PLACES[self.sli.scope], *((self.sli.by.label,) if self.sli.by else ()))

    @property
    def expr(self) -> Expr:
        """The recorded expression: the total since a case began, as in the report; per second, the rate."""
        assert self.sli.query is not None, "only indicators with a query are watched"
        labels = PLACES[self.sli.scope]
        window, function = (SPEED_WINDOW, "rate") if self.sli.per_second else (WINDOW, "last_over_time")
        text = everywhere(self.sli.query, labels, by=labels, window=window, function=function)
        return Expr(text, frozenset(self.sli.metrics))

    @property
    def demand(self) -> str:
        """The objective in words: at most 2 s."""
        objective = self.sli.objective
        assert objective is not None, "only indicators with an objective have a demand"
        bound = "at most" if objective.direction == "at_most" else "at least"
        return f"{bound} {with_unit(objective.value, self.sli.unit)}"


def watched(catalogue: Catalogue) -> Iterator[Watched]:
    """Return the indicators with an objective that rules can watch, in the order of the catalogue."""
    return (Watched(sli) for sli in catalogue.slis if sli.objective and sli.watchable)


def unwatched(catalogue: Catalogue) -> Iterator[Sli]:
    """Return the indicators whose objective only the report of a run can judge."""
    return (sli for sli in catalogue.slis if sli.objective and not sli.watchable)


def recorded(catalogue: Catalogue) -> tuple[Watched, ...]:
    """Return the recorded indicators: those with an objective, and those with their sample sizes, each once."""
    found: dict[str, Watched] = {}
    for entry in watched(catalogue):
        found[entry.sli.id] = entry
        if (n := sample_size(catalogue, entry.sli)) is not None:
            found.setdefault(n.sli.id, n)
    return tuple(found.values())


def sample_size(catalogue: Catalogue, sli: Sli) -> Watched | None:
    """Return the indicator with the sample size of an objective; None when the objective needs no minimum."""
    if sli.n is None or not sli.min_n or sli.per_second:
        return None
    return Watched(catalogue.get(sli.n))


def matchers(sli: Sli) -> tuple[str, ...]:
    """Return scenarios, concurrency and members of an objective as PromQL matchers; empty: everywhere.

    A case of the catalogue is named after its concurrency: n50.
    """
    objective = sli.objective
    assert objective is not None, "only indicators with an objective are judged"
    scenarios = objective.scenarios or sli.scenarios
    members = objective.members or (sli.by.members if sli.by else ())
    parts = []
    if scenarios:
        parts.append(f'scenario=~"{"|".join(scenarios)}"')
    if objective.concurrency is not None:
        parts.append(f'case=~"n0*{objective.concurrency}"')
    if sli.by and members:
        parts.append(f'{sli.by.label}=~"{"|".join(members)}"')
    return tuple(parts)


def broken(objective: Objective) -> str:
    """Return the comparison that is true where an objective is not met."""
    sign = ">" if objective.direction == "at_most" else "<"
    return f"{sign} {objective.value:g}"


def worst(objective: Objective) -> str:
    """Return the aggregation that selects the worst value of many places."""
    return "max" if objective.direction == "at_most" else "min"


UNITS = {
    "s": "s",
    "ratio": "percentunit",
    "%": "percent",
    "bytes": "bytes",
    "By": "bytes",
    "bytes/s": "Bps",
    "jobs/s": "ops",
    "requests/s": "reqps",
    "USD": "currencyUSD",
}
"""Grafana's word for a unit of the catalogue; other units are shown as plain numbers."""
_A_LINE = 6


def objective_groups(catalogue: Catalogue, *dimensions: str) -> tuple[Group, ...]:
    """Return one panel per objective with the worst value of all places where it applies; no group without panels."""
    panels = []
    for entry in watched(catalogue):
        sli, objective = entry.sli, entry.sli.objective
        if objective is None or sli.dimension not in dimensions:
            continue
        series = select(entry.record, *PLACE, *matchers(sli))
        if sli.per_second:  # an ended case keeps its series, with a rate of 0
            series = formula("$series > 0", series=series)
        panels.append(
            Panel(
                panel_title(sli),
                f"Objective: {entry.demand}. {sli.why}",
                UNITS.get(sli.unit, "short"),
                [Query(aggregate(worst(objective), series), now=True)],
                kind=Kind.STAT,
                sli=sli.id,
                limit=True,
                sparkline=False,
                background=True,
            )
        )
    lines = [Line(4, panels[start : start + _A_LINE]) for start in range(0, len(panels), _A_LINE)]
    return (Group("Objectives", lines),) if lines else ()


BURN_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""Ranges over which error ratios are recorded."""
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """A pair of windows: the long one ignores a short spike, the short one ends the alert with the problem."""

    factor: float
    """Speed of budget use; 1 uses up the budget exactly at the end of its period."""
    long: str
    short: str
    hold: str
    """How long the condition must hold."""
    severity: str


BURN_ALERTS = (
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
        return tuple(alert for alert in BURN_ALERTS if alert.factor * self.budget < 1)

    def record(self, window: str) -> str:
        """Name of the recorded error ratio."""
        return f"slo:{self.sli.id}:error_ratio_rate{window}"

    def error_ratio(self, window: str) -> Expr:
        """Return the share of bad events in the window, of all runs and of the scenarios with the objective."""
        sli, where, labels = self.sli, ('run_id!=""', *matchers(self.sli)), PLACES[self.sli.scope]
        assert sli.query is not None, "only indicators with a query have a budget"
        if sli.quantile is None:
            text = everywhere(sli.query, labels, by=(), window=window, matchers=where, function="rate")
            return formula("1 - ($good)", good=Expr(text, frozenset(sli.metrics)))
        assert sli.objective is not None, "only indicators with an objective have a budget"
        histogram = next(name for name in sli.metrics if name.endswith("_bucket")).removesuffix("_bucket")
        selector = sli.query.partition(f"{histogram}_bucket{{")[2].partition("}")[0]
        own = tuple(filter(None, [selector.removeprefix(placed(labels)).lstrip(",")]))
        by = (sli.by.label,) if sli.by else ()
        chosen = (where[0], *own, *where[1:])
        return formula("1 - ($good)", good=within(sli.objective.value, histogram, *chosen, by=by, window=window))


def budgets(catalogue: Catalogue) -> Iterator[Budget]:
    """Return the objectives that are shares of events: ratios of counters, and quantiles with an upper limit."""
    for sli in catalogue.slis:
        if sli.objective is None or not sli.watchable or not counts_events(_classic(sli)):
            continue
        upper = sli.objective.direction == "at_most"
        is_ratio = sli.unit == "ratio" and not upper and 0 < sli.objective.value < 1
        if is_ratio or (sli.quantile is not None and upper):
            yield Budget(sli)


def _classic(sli: Sli) -> tuple[str, ...]:
    """Return the metrics of an indicator without native histograms that also have a classic form."""
    names = set(sli.metrics)
    return tuple(name for name in sli.metrics if not {f"{name}_bucket", f"{name}_count", f"{name}_sum"} & names)
