"""All files that are made from catalogue and records: what is in them, which ones are stale, and writing them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from reelbench.loadgen.record.run_files import write_atomically
from reelbench.monitoring import guide, overview, telemetry_page
from reelbench.monitoring.dashboards import dashboards
from reelbench.monitoring.grafana import to_json
from reelbench.monitoring.metric_names import metrics, records, unknown
from reelbench.monitoring.rules import rules, to_yaml
from reelbench.reporting.catalogue import instruments, spans
from reelbench.reporting.catalogue.prices import PRICES_FILE, Prices, load_prices
from reelbench.reporting.catalogue.sli import Catalogue, Kind, ReportSection, Sli
from reelbench.reporting.catalogue.sli_file import CATALOGUE_FILE, CatalogueError, load
from reelbench.reporting.results.schema import SCHEMA_FILE, schema

DASHBOARDS, RULES, FIGURES, GUIDE = "grafana/dashboards", "prometheus/rules", "docs/figures", "docs/dashboards.md"
CONTRACT = "docs/telemetry.md"
OWNED = {DASHBOARDS: "*.json", RULES: "*.yml", FIGURES: "dashboard_*.svg"}
"""Folders whose files of this pattern are all generated: one that is not made any more is stale."""


class _Asked(Catalogue, frozen=True):
    """A catalogue without indicators that has a stand-in for each, and notes what it is asked for."""

    ids: set[str] = msgspec.field(default_factory=set)

    def get(self, sli: str) -> Sli:
        """Note it."""
        self.ids.add(sli)
        kind, section = Kind.VALUE, ReportSection.CPU
        return Sli(
            id=sli, title="", unit="", kind=kind, dimension="every", section=section, scope="run", why="", query=""
        )


def needed(prices: Prices) -> frozenset[str]:
    """The indicators that the dashboards ask for by name."""
    asked = _Asked(())
    dashboards(asked, prices)
    return frozenset(asked.ids)


def generate(catalogue: Path = CATALOGUE_FILE, prices: Path = PRICES_FILE) -> dict[str, bytes]:
    """Make every file, by its path below the checkout; nothing is written.

    Raises:
        CatalogueError: the catalogue, or a query of a dashboard, is wrong; it names every error.
        PricesError: the price list is wrong; it names every error.
    """
    known, listed = metrics(), load_prices(prices)
    slis = load(catalogue, needed=needed(listed), metrics=known)
    boards, files = dashboards(slis, listed), rules(slis)
    if strangers := unknown(boards.values(), files.values(), known | records(files.values())):
        raise CatalogueError(*strangers)
    made = {f"{DASHBOARDS}/{name}": to_json(board) for name, board in boards.items()}
    made[CONTRACT] = telemetry_page.markdown(instruments.load(), spans.load())
    made |= {f"{RULES}/{name}": to_yaml(file) for name, file in files.items()}
    made |= {f"{FIGURES}/{overview.name(board)}.svg": overview.svg(board) for board in boards.values()}
    made[GUIDE] = guide.markdown(tuple(boards.values()), tuple(files.values()), slis)
    made[SCHEMA_FILE] = schema()
    return made


def stale(root: Path, made: Mapping[str, bytes]) -> list[str]:
    """The paths that are missing, differ, or are not made any more, in order."""
    differ = [path for path, data in made.items() if _read(root / path) != data]
    return sorted({*differ, *_surplus(root, made)})


def write(root: Path, made: Mapping[str, bytes]) -> list[str]:
    """Write what is stale and remove what is not made any more; gives the paths."""
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
