"""``reelbench report``: write the reports of a finished run again, the same bytes each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.prometheus_access import access_errors
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, RUN_FILE, RecordError
from reelbench.loadgen.record.stack import read_stack
from reelbench.reporting.catalogue.prices import PRICES_FILE, PricesError, load_prices
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.compare.folders import is_repeated, repeated_runs
from reelbench.reporting.compare.side import CompareError
from reelbench.reporting.evidence.measurements import read as read_measurements
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.export import export
from reelbench.reporting.publish import DEFAULT, PAGE, Format, FormatError, formats_of
from reelbench.stack.errors import StackError
from reelbench.suite.commands.console import RUNS, echo, fail, say

PrometheusUrl = Annotated[str | None, typer.Option(help="Base URL of a Prometheus that holds the run.")]
Kept = Annotated[bool, typer.Option("--kept", help="Use the kept measurements.json, query no Prometheus.")]
Prices = Annotated[Path, typer.Option(help="Price list of the costs.")]
Charts = Annotated[bool, typer.Option(help="Draw the charts of the report.")]
Formats = Annotated[str, typer.Option("--format", help=f"What to write, separated by commas: {', '.join(Format)}.")]
FailOn = Annotated[str | None, typer.Option(help="worse: exit code 1 when an indicator is worse in repeated runs.")]
Force = Annotated[bool, typer.Option("--force", help="Compare although it would mislead; the report says why.")]
ALL_FORMATS = ",".join(DEFAULT)


@dataclass(frozen=True, slots=True)
class Written:
    """Reports that were written."""

    exit_code: int
    lines: tuple[str, ...]
    """For standard output."""
    paths: tuple[Path, ...] = ()
    source: str = ""
    """Where the numbers of telemetry are from, in words."""


def main(
    *,
    run: Annotated[Path | None, typer.Argument(help="Run directory. Default: the newest under runs/.")] = None,
    prometheus: PrometheusUrl = None,
    kept: Kept = False,
    prices: Prices = PRICES_FILE,
    charts: Charts = True,
    formats: Formats = ALL_FORMATS,
    compare: Annotated[Path | None, typer.Option(help="Run, or folder of repetitions, to compare with.")] = None,
    fail_on: FailOn = None,
    force: Force = False,
) -> None:
    """Write the reports of a finished run again.

    Starts Prometheus over the run's own data, or queries the stack that the run was measured with where Reelbench did
    not start it; --prometheus names another one. --compare also compares the run with another; either may be a folder
    of repetitions.

    Exit codes: 0 pass; 1 an objective failed (with --fail-on worse: an indicator is worse than the baseline's); 2 bad
    usage, or reports that cannot be written; 3 inconclusive or invalid; 4 no Prometheus is available.
    """
    wrong = [*_source_errors(prometheus, kept=kept), *_format_errors(formats)]
    wrong += access_errors({"PROMETHEUS_URL": os.environ.get("PROMETHEUS_URL"), "--prometheus": prometheus})
    wrong += _compare_errors(compare, fail_on, force=force)
    if wrong:
        fail(ExitCode.USAGE, wrong)
    folder = run or RUNS
    try:
        load_prices(prices)  # a mistake in it is found before a Prometheus is started
        folder = run or newest(RUNS)
        written = (
            _repetitions(folder)
            if is_repeated(folder)
            else _export(folder, prometheus, kept=kept, charts=charts, formats=formats, prices=prices)
        )
        if compare is not None:
            worse, lines = _compared(folder, compare, force=force)
            code = ExitCode.FAIL if fail_on and worse else written.exit_code
            written = replace(written, exit_code=code, lines=written.lines + lines)
    except (CatalogueError, PricesError) as error:
        fail(ExitCode.USAGE, error.errors)
    except (RecordError, CompareError) as error:
        fail(ExitCode.USAGE, [str(error)])
    except (StackError, QueryError) as error:
        fail(ExitCode.ABSENT, [str(error)])
    except OSError as error:
        where = error.filename or folder
        fail(ExitCode.USAGE, [f"cannot read or write {where} ({error.strerror}); correct it and export again"])
    for line in written.lines:
        echo(line)
    if written.source:
        say(written.source)
    for page in (path for path in written.paths if path.name == PAGE):
        say(f"all on one page: {page}")
    raise typer.Exit(written.exit_code)


def _repetitions(folder: Path) -> Written:
    """Write the report of repetitions again."""
    from reelbench.reporting.compare.repetitions import write_repetitions  # noqa: PLC0415 - the report of a run is faster without

    return Written(ExitCode.PASS, tuple(write_repetitions(folder, repeated_runs(folder)).summary))


def newest(runs: Path) -> Path:
    """Return the run directory whose name, which begins with its time, is the last.

    Raises:
        RecordError: there is no run.
    """
    found = sorted(path.parent for path in runs.glob(f"*/{RUN_FILE}"))
    if not found:
        raise RecordError(f"there is no run under {runs}; make one with: reelbench run")
    return found[-1]


def _source_errors(prometheus: str | None, *, kept: bool) -> list[str]:
    if kept and prometheus is not None:
        return ["--kept asks no Prometheus; leave out --kept or --prometheus"]
    if prometheus is None:
        return []
    from reelbench.loadgen.options import is_base_url  # noqa: PLC0415 - loads the models of scenario and target files

    if not is_base_url(prometheus):
        return [f"--prometheus: {shown_url(prometheus)!r} is not a base URL; write it like http://127.0.0.1:9090"]
    return []


def _format_errors(formats: str) -> list[str]:
    try:
        formats_of(formats)
    except FormatError as error:
        return [f"--format: {error}"]
    return []


def _compare_errors(compare: Path | None, fail_on: str | None, *, force: bool) -> list[str]:
    given = [name for name, value in (("--fail-on", fail_on), ("--force", force)) if value]
    errors = [f"{name} needs --compare BASELINE" for name in given] if compare is None else []
    if fail_on not in {None, "worse"}:
        errors.append(f"--fail-on: {fail_on!r} is unknown; use worse")
    return errors


def _export(folder: Path, prometheus: str | None, *, kept: bool, charts: bool, formats: str, prices: Path) -> Written:
    """Write the reports of one run.

    Raises:
        RecordError: the folder is not a run, or --kept has nothing to use.
    """
    read_run(folder)  # a folder that is not a run is found before a Prometheus is started
    if kept and not _is_kept(folder):
        raise RecordError(
            f"nothing is kept: {folder} has no {MEASUREMENTS_FILE} of a Prometheus; export with Prometheus first"
        )
    with _metrics_of(folder, prometheus, kept=kept) as url:
        exported = export(folder, url, charts=charts, formats=formats_of(formats), prices=prices)
    return Written(exported.exit_code, tuple(exported.summary), tuple(exported.paths), exported.source)


def _is_kept(folder: Path) -> bool:
    """Return whether an export with Prometheus has kept its measurements.

    Raises:
        RecordError: they cannot be read.
    """
    found = read_measurements(folder)
    return found is not None and found.prometheus


@contextmanager
def _metrics_of(folder: Path, prometheus: str | None, *, kept: bool) -> Iterator[str | None]:
    """Yield the base URL of a Prometheus that holds the run; None when the kept measurements are to be used."""
    if kept or prometheus:
        yield prometheus
        return
    stack = read_stack(folder)
    if stack is not None and stack.kind == "external" and stack.prometheus is not None:
        yield stack.prometheus.url
        return
    from reelbench.stack.binaries import find_prometheus  # noqa: PLC0415 - loads the HTTP client
    from reelbench.stack.reopen_tsdb import reopen_tsdb  # noqa: PLC0415

    with ExitStack() as opened:
        try:
            url = opened.enter_context(reopen_tsdb(folder, find_prometheus(report=say)))
        except StackError as error:
            if not _is_kept(folder):
                raise
            say(f"warning: {error} The kept {MEASUREMENTS_FILE} is used.")
            url = None
        yield url


def _compared(folder: Path, baseline: Path, *, force: bool) -> tuple[bool, tuple[str, ...]]:
    """Write the comparison; return whether an indicator is worse, and the lines for standard output."""
    from reelbench.reporting.compare.comparison import export as export_comparison  # noqa: PLC0415 - scipy.stats takes a second

    found = export_comparison(folder, baseline, force=force)
    return found.record.worse, found.summary
