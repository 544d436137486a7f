"""The files generated from the catalogue, the price list and the declared metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.monitoring import guide, instruments, spans, telemetry_page
from reelbench.monitoring.dashboards import dashboards, needed
from reelbench.monitoring.grafana import to_json
from reelbench.monitoring.metric_names import unknown
from reelbench.monitoring.rules import rules, to_yaml
from reelbench.reporting.catalogue.prices import PRICES_FILE, load_prices
from reelbench.reporting.catalogue.sli_file import CATALOGUE_FILE, CatalogueError, load
from reelbench.reporting.results.schema import SCHEMA_FILE, schema

DASHBOARDS, RULES, GUIDE, CONTRACT = "grafana/dashboards", "prometheus/rules", "docs/dashboards.md", "docs/telemetry.md"
OWNED = {DASHBOARDS: "*.json", RULES: "*.yml"}
"""Folders in which every file of the pattern is generated; a file that is no longer generated is stale."""


def generate(catalogue: Path = CATALOGUE_FILE, prices: Path = PRICES_FILE) -> dict[str, bytes]:
    """Return the content of every file, by its path in the checkout; nothing is written.

    Raises:
        CatalogueError: The catalogue, or a query of a dashboard, is wrong; it names every error.
        PricesError: The price list is wrong; it names every error.
    """
    declared, listed = instruments.load(), load_prices(prices)
    known = instruments.series(declared)
    slis = load(catalogue, needed=needed(listed), metrics=known)
    boards, files = dashboards(slis, listed), rules(slis)
    if errors := unknown(boards.values(), files.values(), known):
        raise CatalogueError(*errors)
    return {
        **{f"{DASHBOARDS}/{name}": to_json(board, slis, listed) for name, board in boards.items()},
        **{f"{RULES}/{name}": to_yaml(file) for name, file in files.items()},
        CONTRACT: telemetry_page.markdown(declared, spans.load()),
        GUIDE: guide.markdown(tuple(boards.values()), tuple(files.values()), slis),
        SCHEMA_FILE: schema(),
    }


def stale(root: Path, made: Mapping[str, bytes]) -> list[str]:
    """Return the paths that are missing, differ, or are no longer generated, in order."""
    differ = [path for path, data in made.items() if _read(root / path) != data]
    return sorted({*differ, *_surplus(root, made)})


def write(root: Path, made: Mapping[str, bytes]) -> list[str]:
    """Write stale files and remove those no longer generated; return their paths."""
    changed = stale(root, made)
    for path in changed:
        if path in made:
            write_atomically(root / path, made[path])
        else:
            (root / path).unlink()
    return changed


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _surplus(root: Path, made: Mapping[str, bytes]) -> set[str]:
    found = {
        path.relative_to(root).as_posix() for folder, pattern in OWNED.items() for path in (root / folder).glob(pattern)
    }
    return found - set(made)
