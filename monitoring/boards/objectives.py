"""A group of panels for the objectives of a dimension."""

from __future__ import annotations

from reelbench.monitoring.objectives import watched, worst
from reelbench.monitoring.panels import Group, Kind, Line, Panel, Query
from reelbench.monitoring.promql import PLACE, aggregate, formula, select
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import panel_title

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


def objectives(catalogue: Catalogue, *dimensions: str) -> tuple[Group, ...]:
    """Return one panel per objective with the worst value of all places where it applies; no group without panels."""
    panels = []
    for entry in watched(catalogue):
        sli, objective = entry.sli, entry.sli.objective
        if objective is None or sli.dimension not in dimensions:
            continue
        series = select(entry.record, *PLACE, *entry.matchers)
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
