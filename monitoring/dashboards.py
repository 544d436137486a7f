"""All dashboards from the catalogue, by file name."""

from __future__ import annotations

from collections.abc import Callable

from reelbench.monitoring.boards import live, pipeline, reliability, resources, traces
from reelbench.monitoring.grafana import Dashboard
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue

BUILDERS: dict[str, Callable[[Catalogue, Prices], Dashboard]] = {
    "live.json": live.build,
    "reliability.json": reliability.build,
    "resources.json": resources.build,
    "traces.json": traces.build,
    "pipeline.json": pipeline.build,
}


def dashboards(catalogue: Catalogue, prices: Prices) -> dict[str, Dashboard]:
    """Every dashboard, in the order of the menu."""
    return {name: build(catalogue, prices) for name, build in BUILDERS.items()}
