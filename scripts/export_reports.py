"""Write the reports of a finished run again: PromQL and traces in, Markdown and charts out, the same bytes each time.

Brings Prometheus up over the run's own data, or asks the stack that the run was measured with where that was not ours
to start; with ``--prometheus`` it asks another one that runs. Exit codes: 0 pass, 1 an
objective failed, 2 bad usage or reports that cannot be written, 3 inconclusive or invalid, 4 no Prometheus to be had.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the command works from a checkout, without an install

from loadgen.addresses import is_base_url
from loadgen.record import RUN_FILE, RecordError, read_run
from reporting.catalogue import CatalogueError
from reporting.export import export
from reporting.measurements import MEASUREMENTS_FILE
from reporting.measurements import read as read_measurements
from reporting.prices import PRICES_FILE, PricesError, load_prices
from reporting.prometheus import QueryError
from reporting.publish import DEFAULT, PAGE, Format, FormatError, formats_of
from reporting.stackfile import read_stack
from stack.binaries import find_prometheus
from stack.errors import StackError
from stack.reopen import reopen

EXIT_USAGE, EXIT_ABSENT = 2, 4


def main(
    *,
    run: Annotated[Path | None, typer.Argument(help="Run directory. Default: the newest under runs/.")] = None,
    prometheus: Annotated[str | None, typer.Option(help="Base URL of a Prometheus that holds the run.")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Use the kept measurements.json, ask nobody.")] = False,
    prices: Annotated[Path, typer.Option(help="Price list of the costs.")] = PRICES_FILE,
    charts: Annotated[bool, typer.Option(help="Draw the charts of the report.")] = True,
    formats: Annotated[
        str, typer.Option("--format", help=f"What to write, with commas between: {', '.join(Format)}.")
    ] = ",".join(DEFAULT),
) -> None:
    """Write the reports of a finished run again."""
    if kept and prometheus is not None:
        fail(EXIT_USAGE, ["--kept asks no Prometheus; leave out --kept or --prometheus"])
    if prometheus is not None and not is_base_url(prometheus):
        fail(EXIT_USAGE, [f"--prometheus: {prometheus!r} is not a base URL; write it like http://127.0.0.1:9090"])
    try:
        wanted = formats_of(formats)
        load_prices(prices)  # before a Prometheus is started for nothing
        run_dir = run or newest(ROOT / "runs")
        check_run(run_dir, kept=kept)
        with metrics_of(run_dir, prometheus, kept=kept) as url:
            exported = export(run_dir, url, charts=charts, formats=wanted, prices=prices)
    except FormatError as error:
        fail(EXIT_USAGE, [f"--format: {error}"])
    except (RecordError, CatalogueError, PricesError) as error:
        fail(EXIT_USAGE, getattr(error, "errors", [str(error)]))
    except (StackError, QueryError) as error:
        fail(EXIT_ABSENT, [str(error)])
    except OSError as error:
        fail(
            EXIT_USAGE,
            [f"cannot read or write {error.filename or run_dir} ({error.strerror}); correct it and export again"],
        )
    for line in exported.summary:
        typer.echo(line)
    for path in exported.paths:
        if path.name == PAGE:
            typer.echo(f"all on one page: {path}", err=True)
    raise typer.Exit(exported.exit_code)


def newest(runs: Path) -> Path:
    """Return the run directory whose name, which begins with its time, is the last.

    Raises:
        RecordError: there is none.
    """
    found = sorted(path.parent for path in runs.glob(f"*/{RUN_FILE}"))
    if not found:
        raise RecordError(f"there is no run under {runs}; make one with: make suite")
    return found[-1]


def check_run(run_dir: Path, *, kept: bool) -> None:
    """Make sure that there is a run to report before anybody is asked for its metrics.

    Raises:
        RecordError: the folder is no run, or what is to be used was not kept.
    """
    read_run(run_dir)
    if kept and not ((found := read_measurements(run_dir)) and found.prometheus):
        msg = f"nothing is kept: {run_dir} has no {MEASUREMENTS_FILE} of a Prometheus; export with Prometheus first"
        raise RecordError(msg)


@contextmanager
def metrics_of(run_dir: Path, prometheus: str | None, *, kept: bool) -> Iterator[str | None]:
    """Yield the base URL of a Prometheus that holds the run; None when the kept measurements are to be used."""
    if kept or prometheus:
        yield prometheus
        return
    stack = read_stack(run_dir)
    if stack is not None and stack.kind == "external" and stack.prometheus is not None:
        yield stack.prometheus.url  # the metrics are where they were
        return
    with reopen(run_dir, find_prometheus(report=lambda line: typer.echo(line, err=True))) as url:
        yield url


def fail(code: int, errors: Sequence[str]) -> NoReturn:
    """End with one line for each error."""
    for error in errors:
        typer.echo(f"error: {error}", err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
