"""A group of panels for the objectives of a dimension: whatever the catalogue has."""

from __future__ import annotations

from reelbench.monitoring.boards.parts import UNITS, ask, stat
from reelbench.monitoring.layout import Group, Line
from reelbench.monitoring.objectives import watched, worst
from reelbench.monitoring.promql import PLACE
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import panel_title
from reelbench.reporting.document.text import with_unit

_A_LINE = 6


def objectives(catalogue: Catalogue, *dimensions: str) -> tuple[Group, ...]:
    """One number for each objective: the worst value of all places where it is judged; no group without any."""
    panels = []
    for entry in watched(catalogue):
        sli, objective = entry.sli, entry.sli.objective
        if objective is None or sli.dimension not in dimensions:
            continue
        selector = ",".join(filter(None, (PLACE, entry.selector)))
        demand = (
            f"{'at most' if objective.direction == 'at_most' else 'at least'} {with_unit(objective.value, sli.unit)}"
        )
        going_on = " > 0" if sli.per_second else ""  # a case that has ended keeps its series, at a rate of 0
        panels.append(
            stat(
                panel_title(sli),
                f"Objective: {demand}. {sli.why}",
                UNITS.get(sli.unit, "short"),
                [ask(f"{worst(objective)}({entry.record}{{{selector}}}{going_on})", now=True)],
                limit=objective,
                graph="none",
                background=True,
            )
        )
    lines = [Line(4, panels[start : start + _A_LINE]) for start in range(0, len(panels), _A_LINE)]
    return (Group("Objectives", lines),) if lines else ()
