"""``reelbench report``: write the reports of a finished run again, the same bytes each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.prometheus_access import access_errors
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, RUN_FILE, RecordError
from reelbench.loadgen.record.stack import PrometheusRecord, read_stack
from reelbench.reporting.catalogue.prices import PRICES_FILE, PricesError, load_prices
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.compare.folders import has_several_runs
from reelbench.reporting.compare.records import ComparisonRecord
from reelbench.reporting.compare.side import CompareError
from reelbench.reporting.compare.writing import Output
from reelbench.reporting.evidence.measurements import read as read_measurements
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.export import REPORTS_DIR, Exported, export
from reelbench.reporting.publish import DEFAULT, PAGE, Format, FormatError, formats_of, publish_summary
from reelbench.reporting.results.summary import Summary
from reelbench.reporting.sections.summary.blocks import summary_report
from reelbench.stack.errors import StackError
from reelbench.suite import step_summary
from reelbench.suite.commands.console import RUNS, echo, fail, say

PrometheusUrl = Annotated[str | None, typer.Option(help="Base URL of a Prometheus that holds the run.")]
Kept = Annotated[bool, typer.Option("--kept", help="Use the kept measurements.json, query no Prometheus.")]
Prices = Annotated[Path, typer.Option(help="Price list of the costs.")]
Charts = Annotated[bool, typer.Option(help="Draw the charts of the report.")]
Formats = Annotated[str, typer.Option("--format", help=f"What to write, separated by commas: {', '.join(Format)}.")]
FailOn = Annotated[str | None, typer.Option(help="worse: exit code 1 when an indicator is worse in repeated runs.")]
Force = Annotated[bool, typer.Option("--force", help="Compare although it would mislead; the report says why.")]
Html = Annotated[Path | None, typer.Option("--html", help="File in which the page of the comparison is written too.")]
KEPT_INSTEAD = f"the kept {MEASUREMENTS_FILE} is used"
ALL_FORMATS = ",".join(DEFAULT)


@dataclass(frozen=True, slots=True)
class Written:
    """Reports that were written."""

    exit_code: int
    lines: tuple[str, ...]
    """For standard output."""
    paths: tuple[Path, ...] = ()
    short: Summary | None = None
    """The summary of a run; None of several runs."""
    pages: tuple[Path, ...] = ()
    """Pages about several runs."""
    source: str = ""
    """Where the numbers of telemetry are from, in words."""


def main(
    *,
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of a run, or of repetitions, an ablation, an A/B comparison. Default: the newest run."
        ),
    ] = None,
    prometheus: PrometheusUrl = None,
    kept: Kept = False,
    prices: Prices = PRICES_FILE,
    charts: Charts = True,
    formats: Formats = ALL_FORMATS,
    compare: Annotated[Path | None, typer.Option(help="Run, or folder of repetitions, to compare with.")] = None,
    fail_on: FailOn = None,
    force: Force = False,
    html: Html = None,
) -> None:
    """Write the reports of a finished run again.

    Starts Prometheus over the run's own data, or queries the stack that the run was measured with where Reelbench did
    not start it; --prometheus names another one. Where it is gone or not installed, the kept measurements are used.
    --compare also compares the run with another; either may be a folder of repetitions. The folder of a report about
    several runs gives that report again, in the formats named.

    Exit codes: 0 pass; 1 an objective failed (with --fail-on worse: an indicator is worse than the baseline's); 2 bad
    usage, or reports that cannot be written; 3 inconclusive or invalid; 4 no Prometheus is available.
    """
    wrong = [*_source_errors(prometheus, kept=kept), *_format_errors(formats)]
    wrong += access_errors({"PROMETHEUS_URL": os.environ.get("PROMETHEUS_URL"), "--prometheus": prometheus})
    wrong += _compare_errors(compare, fail_on, html, force=force)
    if wrong:
        fail(ExitCode.USAGE, wrong)
    folder = run or RUNS
    try:
        load_prices(prices)  # a mistake in it is found before a Prometheus is started
        folder = run or newest(RUNS)
        written = (
            _several(folder, Output(frozenset(formats_of(formats)), charts=charts))
            if has_several_runs(folder)
            else _export(
                folder,
                prometheus,
                kept=kept,
                charts=charts,
                formats=formats,
                prices=prices,
                download=compare is None,
            )
        )
        if compare is not None:
            output = Output(frozenset(formats_of(formats)), charts=charts, html=html)
            written = _with_comparison(written, folder, compare, fail_on, force=force, output=output)
        step_summary.append(written.paths, os.environ)
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
    for line in _pages(written):
        say(line)
    raise typer.Exit(written.exit_code)


def _pages(written: Written) -> Iterator[str]:
    yield from (f"all on one page: {path}" for path in written.paths if path.name == PAGE)
    yield from (f"page about several runs: {path}" for path in written.pages)


def _several(folder: Path, output: Output) -> Written:
    """Write the report about several runs again."""
    from reelbench.reporting.compare.rewriting import rewrite  # noqa: PLC0415 - the report of a run is faster without

    found = rewrite(folder, output)
    return Written(ExitCode.PASS, tuple(found.summary), pages=found.pages)


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


def _compare_errors(compare: Path | None, fail_on: str | None, html: Path | None, *, force: bool) -> list[str]:
    given = [name for name, value in (("--fail-on", fail_on), ("--force", force), ("--html", html)) if value]
    errors = [f"{name} needs --compare BASELINE" for name in given] if compare is None else []
    if fail_on not in {None, "worse"}:
        errors.append(f"--fail-on: {fail_on!r} is unknown; use worse")
    return [*errors, *html_errors(html)]


def html_errors(html: Path | None) -> list[str]:
    """Return why a page cannot be written to this file, before anything is read or run."""
    if html is None:
        return []
    if html.is_dir():
        return [f"--html: {html} is a folder; name a file, such as {html / 'comparison.html'}"]
    return [] if html.parent.is_dir() else [f"--html: there is no folder {html.parent}; create it, or name another"]


def _export(
    folder: Path, prometheus: str | None, *, kept: bool, charts: bool, formats: str, prices: Path, download: bool
) -> Written:
    """Write the reports of one run; from its kept measurements where its Prometheus is gone or not at hand.

    Raises:
        RecordError: the folder is not a run, or --kept has nothing to use.
    """
    read_run(folder)  # a folder that is not a run is found before a Prometheus is started
    saved = (found := read_measurements(folder)) is not None and found.prometheus
    if kept and not saved:
        raise RecordError(
            f"nothing is kept: {folder} has no {MEASUREMENTS_FILE} of a Prometheus; export with Prometheus first"
        )

    def write(url: str | None) -> Exported:
        return export(folder, url, charts=charts, formats=formats_of(formats), prices=prices)

    with _metrics_of(folder, prometheus, kept=kept, saved=saved, download=download) as url:
        try:
            exported = write(url)
        except QueryError as error:
            if prometheus is not None or url is None or not saved:
                raise
            say(f"{error}: {KEPT_INSTEAD}")
            exported = write(None)
    return Written(
        exported.exit_code, tuple(exported.summary), tuple(exported.paths), exported.short, source=exported.source
    )


@contextmanager
def _metrics_of(
    folder: Path, prometheus: str | None, *, kept: bool, saved: bool, download: bool
) -> Iterator[str | None]:
    """Yield the base URL of a Prometheus that holds the run; None when the kept measurements are to be used.

    Args:
        folder: The run directory.
        prometheus: A Prometheus that the user names.
        kept: The user asks for the kept measurements.
        saved: The run has kept measurements of a Prometheus. Then nothing is downloaded.
        download: A Prometheus may be downloaded.
    """
    if kept or prometheus:
        yield prometheus
        return
    stack = read_stack(folder)
    if stack is not None and stack.kind == "external" and stack.prometheus is not None:
        yield stack.prometheus.url
        return
    if saved and (stack is None or stack.prometheus is None or not _has_store(folder, stack.prometheus)):
        say(f"the run's Prometheus data are gone: {KEPT_INSTEAD}")
        yield None
        return
    from reelbench.stack.binaries import find_prometheus  # noqa: PLC0415 - loads the HTTP client
    from reelbench.stack.reopen_tsdb import reopen_tsdb  # noqa: PLC0415

    try:
        binary = find_prometheus(report=say, download=download and not saved)
    except StackError:
        if not saved:
            raise
        say(f"no Prometheus is installed: {KEPT_INSTEAD}")
        yield None
        return
    with ExitStack() as opened:
        try:
            url = opened.enter_context(reopen_tsdb(folder, binary))
        except StackError as error:
            if not saved:
                raise
            say(f"warning: {error} {KEPT_INSTEAD.capitalize()}.")
            url = None
        yield url


def _has_store(folder: Path, record: PrometheusRecord) -> bool:
    return record.data_dir is not None and (folder / record.data_dir).is_dir()


def _with_comparison(
    written: Written, folder: Path, baseline: Path, fail_on: str | None, *, force: bool, output: Output
) -> Written:
    """Write the comparison with a baseline, and the summary of a run again with the change."""
    from reelbench.reporting.compare.comparison import export as export_comparison  # noqa: PLC0415 - scipy.stats takes a second

    found = export_comparison(folder, baseline, force=force, output=output)
    if written.short is not None:
        _put_change(folder, written.short, found.record)
    code = ExitCode.FAIL if fail_on and found.record.worse else written.exit_code
    return replace(written, exit_code=code, lines=written.lines + found.summary, pages=written.pages + found.pages)


def _put_change(folder: Path, summary: Summary, record: ComparisonRecord) -> None:
    """Write the summary of a run again, with the change against the baseline."""
    from reelbench.reporting.compare.change import change_of  # noqa: PLC0415 - as the comparison

    changed = msgspec.structs.replace(summary, change=change_of(record))
    publish_summary(folder / REPORTS_DIR, changed, summary_report(changed))
