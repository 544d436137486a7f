"""The files generated from the catalogue, the price list and the declared metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.monitoring.boards import dashboards, needed
from reelbench.monitoring.contract import load_instruments, load_spans, series
from reelbench.monitoring.grafana import to_json
from reelbench.monitoring.pages import dashboards_page, telemetry_page
from reelbench.monitoring.panels import Board
from reelbench.monitoring.promql import Expr
from reelbench.monitoring.rules import RuleFile, rules, to_yaml
from reelbench.reporting.catalogue.prices import PRICES_FILE, load_prices
from reelbench.reporting.catalogue.sli_file import CATALOGUE_FILE, CatalogueError, load, unknown_metric
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
    declared, listed = load_instruments(), load_prices(prices)
    known = series(declared)
    slis = load(catalogue, needed=needed(listed), metrics=known)
    boards, files = dashboards(slis, listed), rules(slis)
    if errors := unknown(boards.values(), files.values(), known):
        raise CatalogueError(*errors)
    return {
        **{f"{DASHBOARDS}/{name}": to_json(board, slis, listed) for name, board in boards.items()},
        **{f"{RULES}/{name}": to_yaml(file) for name, file in files.items()},
        CONTRACT: telemetry_page(declared, load_spans()),
        GUIDE: dashboards_page(tuple(boards.values()), tuple(files.values()), slis),
        SCHEMA_FILE: schema(),
    }


def unknown(boards: Iterable[Board], files: Collection[RuleFile], known: Collection[str]) -> list[str]:
    """Return one line for each metric of a dashboard or a rule that is neither in `known` nor recorded by a rule."""
    names = frozenset(known).union(*(file.records for file in files))
    found = dict.fromkeys(
        (place, name) for place, expr in _named(boards, files) for name in sorted(expr.metrics - names)
    )
    return [f"{place}: {unknown_metric(name, names)}" for place, name in found]


def _named(boards: Iterable[Board], files: Iterable[RuleFile]) -> Iterator[tuple[str, Expr]]:
    for board in boards:
        for panel in board.panels:
            for expr in panel.exprs:
                yield f"dashboard {board.title}: panel {panel.title}", expr
    for file in files:
        for rule in file.rules:
            yield f"rule {rule.name}", rule.expr


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
