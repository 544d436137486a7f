"""Write the reports of a finished run again: PromQL and traces in, Markdown and charts out, the same bytes each time.

Brings Prometheus up over the run's own data, or asks the stack that the run was measured with where that was not ours
to start; with ``--prometheus`` it asks another one that runs. With ``--compare`` it also compares the run with another;
either may be a folder of repetitions. Exit codes: 0 pass, 1 an objective failed (or, with ``--fail-on worse``, an
indicator is worse than the baseline's), 2 bad usage or reports that cannot be written, 3 inconclusive or invalid, 4 no
Prometheus to be had.
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

from reelbench.loadgen.addresses import is_base_url
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, RUN_FILE, RecordError
from reelbench.loadgen.record.stack import read_stack
from reelbench.reporting.catalogue.prices import PRICES_FILE, PricesError, load_prices
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.compare.folders import is_repeated, repeated_runs
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.compare.side import CompareError
from reelbench.reporting.evidence.measurements import read as read_measurements
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.export import export
from reelbench.reporting.publish import DEFAULT, PAGE, Format, FormatError, formats_of
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.reopen_tsdb import reopen

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
    compare: Annotated[Path | None, typer.Option(help="Run, or folder of repetitions, to compare with.")] = None,
    fail_on: Annotated[str | None, typer.Option(help="worse: exit code 1 when an indicator is worse.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare what would mislead, and say so.")] = False,
) -> None:
    """Write the reports of a finished run again."""
    wrong = [
        *source_errors(prometheus, kept=kept),
        *format_errors(formats),
        *compare_errors(compare, fail_on, force=force),
    ]
    if wrong:
        fail(EXIT_USAGE, wrong)
    try:
        load_prices(prices)  # before a Prometheus is started for nothing
        run_dir = run or newest(ROOT / "runs")
        if is_repeated(run_dir):
            exit_code, lines, paths = 0, write_repetitions(run_dir, repeated_runs(run_dir)).summary, ()
        else:
            check_run(run_dir, kept=kept)
            with metrics_of(run_dir, prometheus, kept=kept) as url:
                exported = export(run_dir, url, charts=charts, formats=formats_of(formats), prices=prices)
            exit_code, lines, paths = exported.exit_code, exported.summary, exported.paths
        if compare is not None:
            worse, more = compared(run_dir, compare, force=force)
            lines = (*lines, *more)
            exit_code = 1 if fail_on and worse else exit_code
    except (RecordError, CatalogueError, PricesError, CompareError) as error:
        fail(EXIT_USAGE, getattr(error, "errors", [str(error)]))
    except (StackError, QueryError) as error:
        fail(EXIT_ABSENT, [str(error)])
    except OSError as error:
        fail(
            EXIT_USAGE,
            [f"cannot read or write {error.filename or run_dir} ({error.strerror}); correct it and export again"],
        )
    for line in lines:
        typer.echo(line)
    for page in (path for path in paths if path.name == PAGE):
        typer.echo(f"all on one page: {page}", err=True)
    raise typer.Exit(exit_code)


def source_errors(prometheus: str | None, *, kept: bool) -> list[str]:
    """What is wrong with where the numbers are to come from."""
    if kept and prometheus is not None:
        return ["--kept asks no Prometheus; leave out --kept or --prometheus"]
    if prometheus is not None and not is_base_url(prometheus):
        return [f"--prometheus: {prometheus!r} is not a base URL; write it like http://127.0.0.1:9090"]
    return []


def format_errors(formats: str) -> list[str]:
    """What is wrong with the formats."""
    try:
        formats_of(formats)
    except FormatError as error:
        return [f"--format: {error}"]
    return []


def compare_errors(compare: Path | None, fail_on: str | None, *, force: bool) -> list[str]:
    """What is wrong with the options of a comparison."""
    errors = [
        f"{name} needs --compare BASELINE" for name, given in (("--fail-on", fail_on), ("--force", force)) if given
    ]
    errors = [] if compare is not None else errors
    if fail_on not in {None, "worse"}:
        errors.append(f"--fail-on: {fail_on!r} is unknown; use worse")
    return errors


def compared(run_dir: Path, baseline: Path, *, force: bool) -> tuple[bool, tuple[str, ...]]:
    """Write the comparison; tells whether an indicator is worse, with lines for the terminal."""
    from reelbench.reporting.compare.comparison import export as export_comparison  # noqa: PLC0415 - scipy.stats takes a second

    found = export_comparison(run_dir, baseline, force=force)
    return found.record.worse, found.summary


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
