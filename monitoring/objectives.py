"""The objectives that Prometheus can watch during a run: their recorded series and the places where they apply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reelbench.monitoring import promql
from reelbench.monitoring.promql import Expr
from reelbench.reporting.catalogue.sli import PLACES, Catalogue, Objective, Sli
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
        text = promql.everywhere(self.sli.query, labels, by=labels, window=window, function=function)
        return Expr(text, frozenset(self.sli.metrics))

    @property
    def matchers(self) -> tuple[str, ...]:
        """Matchers of the places where the objective applies."""
        return matchers(self.sli)

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
