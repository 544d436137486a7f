"""The objectives that Prometheus can watch while a run goes on: their recorded series and where they are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reelbench.monitoring import promql
from reelbench.reporting.catalogue.sli import PLACES, Catalogue, Objective, Sli

WINDOW = "5m"
"""How long the last total of a case counts as the present one; a run that ended longer ago alerts nobody."""
SPEED_WINDOW = "1m"


@dataclass(frozen=True, slots=True)
class Watched:
    """An indicator of the catalogue as a recorded series, for all runs at once."""

    sli: Sli

    @property
    def record(self) -> str:
        """Name of the recorded series: scope, indicator, and what was done to it."""
        return f"{self.sli.scope}:{self.sli.id}:{f'rate{SPEED_WINDOW}' if self.sli.per_second else 'total'}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the recorded series."""
        return (*PLACES[self.sli.scope], *((self.sli.by.label,) if self.sli.by else ()))

    @property
    def expr(self) -> str:
        """What is recorded: the total since a case began, which is what the report will say; per second, the rate."""
        assert self.sli.query is not None, "only indicators with a query are watched"
        if self.sli.per_second:
            return promql.everywhere(self.sli.query, by=PLACES[self.sli.scope], window=SPEED_WINDOW, function="rate")
        return promql.everywhere(self.sli.query, by=PLACES[self.sli.scope], window=WINDOW)

    @property
    def selector(self) -> str:
        """Matchers that choose where the objective is judged."""
        return matchers(self.sli)


def watched(catalogue: Catalogue) -> Iterator[Watched]:
    """The indicators with an objective that rules can watch, in the order of the catalogue."""
    return (Watched(sli) for sli in catalogue.slis if sli.objective and sli.watchable)


def unwatched(catalogue: Catalogue) -> Iterator[Sli]:
    """The indicators whose objective the report of a run alone can judge."""
    return (sli for sli in catalogue.slis if sli.objective and not sli.watchable)


def recorded(catalogue: Catalogue) -> tuple[Watched, ...]:
    """What is recorded: the indicators with an objective, and those that give their sample sizes, each once."""
    found: dict[str, Watched] = {}
    for entry in watched(catalogue):
        found[entry.sli.id] = entry
        if (n := sample_size(catalogue, entry.sli)) is not None:
            found.setdefault(n.sli.id, n)
    return tuple(found.values())


def sample_size(catalogue: Catalogue, sli: Sli) -> Watched | None:
    """What gives the sample size that an objective needs; None when it needs none."""
    if sli.n is None or not sli.min_n or sli.per_second:
        return None
    return Watched(catalogue.get(sli.n))


def matchers(sli: Sli) -> str:
    """Scenarios, concurrency and members of an objective as PromQL matchers, without braces; empty: everywhere.

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
    return ",".join(parts)


def broken(objective: Objective) -> str:
    """The comparison that holds where an objective does not."""
    sign = ">" if objective.direction == "at_most" else "<"
    return f"{sign} {objective.value:g}"


def worst(objective: Objective) -> str:
    """The aggregation that gives the worst value of many places."""
    return "max" if objective.direction == "at_most" else "min"
