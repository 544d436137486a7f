"""Write the generated files: dashboards, rules, their pages, the schema of results.json, the pages of YAML files.

With ``--check`` nothing is written. Exit codes: 0 done, 1 files are stale, 2 the catalogue or the price list is wrong,
or a file cannot be written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reelbench.exit_code import ExitCode

try:
    from reelbench.monitoring.generate import generate, stale, write
except ModuleNotFoundError as missing:
    sys.stderr.write(f"error: {missing.name} is not installed; make lint or make test installs the development tools\n")
    sys.exit(ExitCode.USAGE)
from reelbench.loadgen.plan import reference
from reelbench.loadgen.target import reference as target_reference
from reelbench.reporting.catalogue.prices import PRICES_FILE, PricesError
from reelbench.reporting.catalogue.sli_file import CATALOGUE_FILE, CatalogueError

SCENARIO_PAGE, SCENARIO_EXAMPLE = "docs/scenario-file.md", "docs/examples/evening_peak.yaml"
TARGET_PAGE, TARGET_EXAMPLE = "docs/target-file.md", "docs/examples/my_server.yaml"


def main(
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; name the files that are stale.")] = False,
    catalogue: Annotated[Path, typer.Option(help="The catalogue of indicators.")] = CATALOGUE_FILE,
    prices: Annotated[Path, typer.Option(help="The price list that the dashboards begin with.")] = PRICES_FILE,
    root: Annotated[Path, typer.Option(help="The checkout to write into.")] = ROOT,
) -> None:
    """Write dashboards, rules, their pages and the other generated files."""
    try:
        made = generate(catalogue, prices) | {
            SCENARIO_PAGE: reference.markdown(ROOT / SCENARIO_EXAMPLE),
            TARGET_PAGE: target_reference.markdown(ROOT / TARGET_EXAMPLE),
        }
        if check:
            if not root.is_dir():
                typer.echo(f"error: --root: {root} is no folder; name a checkout", err=True)
                raise typer.Exit(ExitCode.USAGE)
            differ = stale(root, made)
            for path in differ:
                typer.echo(f"stale: {path}")
            if differ:
                typer.echo("run: python scripts/generate.py", err=True)
            raise typer.Exit(ExitCode.FAIL if differ else ExitCode.PASS)
        for path in write(root, made):
            typer.echo(path)
    except (CatalogueError, PricesError) as error:
        for line in error.errors:
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    except OSError as error:
        typer.echo(f"error: {error.filename} cannot be read or written ({error.strerror})", err=True)
        raise typer.Exit(ExitCode.USAGE) from None


if __name__ == "__main__":
    typer.run(main)
