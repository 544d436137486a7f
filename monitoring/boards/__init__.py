"""The dashboards from the catalogue, by file name."""

from __future__ import annotations

from reelbench.monitoring.boards import live, pipeline, reliability, resources, traces
from reelbench.monitoring.panels import Board
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue

_BUILDERS = {
    "live.json": live.build,
    "reliability.json": reliability.build,
    "resources.json": resources.build,
    "traces.json": traces.build,
    "pipeline.json": pipeline.build,
}


def dashboards(catalogue: Catalogue, prices: Prices) -> dict[str, Board]:
    """Return every dashboard, in the order of the menu."""
    return {name: build(catalogue, prices) for name, build in _BUILDERS.items()}


def needed(prices: Prices) -> frozenset[str]:
    """Return the indicators that the dashboards name."""
    return frozenset(
        panel.sli for board in dashboards(Catalogue(()), prices).values() for panel in board.panels if panel.sli
    )
