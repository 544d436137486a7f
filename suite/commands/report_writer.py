"""Writes the reports of a finished run again, and its comparison with another run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run import read_run
from reelbench.loadgen.record.run_files import MEASUREMENTS_FILE, TRACES_DIR, RecordError
from reelbench.loadgen.record.stack import PrometheusRecord, read_stack
from reelbench.reporting.catalogue.prices import PricesError, load_prices
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.compare.folders import has_several_runs
from reelbench.reporting.compare.records import ComparisonRecord
from reelbench.reporting.compare.side import CompareError
from reelbench.reporting.compare.writing import Output
from reelbench.reporting.evidence.file_traces import FileTraces
from reelbench.reporting.evidence.measurements import read as read_measurements
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.reporting.evidence.reading_process import ReadAhead
from reelbench.reporting.export import REPORTS_DIR, Exported, export
from reelbench.reporting.formats import Format
from reelbench.reporting.publish import PAGE, publish_summary
from reelbench.reporting.results.summary import Summary
from reelbench.reporting.sections.summary.blocks import summary_report
from reelbench.stack.errors import StackError
from reelbench.suite import step_summary
from reelbench.suite.commands.console import fail, say

KEPT_INSTEAD = f"the kept {MEASUREMENTS_FILE} is used"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to write."""

    folder: Path
    """Of a run, or of a report about several runs."""
    prometheus: str | None
    """Base URL of a Prometheus that the user names."""
    kept: bool
    """Whether the kept measurements are to be used."""
    prices: Path
    charts: bool
    formats: frozenset[Format]
    compare: Path | None
    """Run, or folder of repetitions, to compare with."""
    fail_on: str | None
    force: bool
    html: Path | None
    """File in which the page of the comparison is written too."""


class Written(msgspec.Struct, frozen=True):
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

    @property
    def remarks(self) -> Iterator[str]:
        """Yield the lines for standard error."""
        if self.source:
            yield self.source
        yield from (f"all on one page: {path}" for path in self.paths if path.name == PAGE)
        yield from (f"page about several runs: {path}" for path in self.pages)


def write(asked: Asked, ahead: ReadAhead | None) -> Written:
    """Write the reports; a mistake ends the command with a sentence.

    Args:
        asked: What to write.
        ahead: The process that reads the traces of the run already; None: they are read when they are needed.
    """
    try:
        load_prices(asked.prices)  # a mistake in it is found before a Prometheus is started
        written = _several(asked) if has_several_runs(asked.folder) else _export(asked, ahead)
        if asked.compare is not None:
            written = _with_comparison(written, asked, asked.compare)
        step_summary.append(written.paths, os.environ)
    except (CatalogueError, PricesError) as error:
        fail(ExitCode.USAGE, error.errors)
    except (RecordError, CompareError) as error:
        fail(ExitCode.USAGE, [str(error)])
    except (StackError, QueryError) as error:
        fail(ExitCode.ABSENT, [str(error)])
    except OSError as error:
        where = error.filename or asked.folder
        fail(ExitCode.USAGE, [f"cannot read or write {where} ({error.strerror}); correct it and export again"])
    return written


def _several(asked: Asked) -> Written:
    """Write the report about several runs again."""
    from reelbench.reporting.compare.rewriting import rewrite  # noqa: PLC0415 - the report of a run is faster without

    found = rewrite(asked.folder, Output(asked.formats, charts=asked.charts))
    return Written(ExitCode.PASS, tuple(found.summary), pages=found.pages)


def _export(asked: Asked, ahead: ReadAhead | None) -> Written:
    """Write the reports of one run; from its kept measurements where its Prometheus is gone or not at hand.

    Raises:
        RecordError: the folder is not a run, or --kept has nothing to use.
    """
    folder, prometheus = asked.folder, asked.prometheus
    read_run(folder)  # a folder that is not a run is found before a Prometheus is started
    saved = (found := read_measurements(folder)) is not None and found.prometheus
    if asked.kept and not saved:
        raise RecordError(
            f"nothing is kept: {folder} has no {MEASUREMENTS_FILE} of a Prometheus; export with Prometheus first"
        )

    traces = FileTraces(folder / TRACES_DIR, ahead=ahead) if ahead is not None else None

    def export_from(url: str | None) -> Exported:
        return export(folder, url, charts=asked.charts, formats=asked.formats, prices=asked.prices, traces=traces)

    download = asked.compare is None
    with _metrics_of(folder, prometheus, kept=asked.kept, saved=saved, download=download) as url:
        try:
            exported = export_from(url)
        except QueryError as error:
            if prometheus is not None or url is None or not saved:
                raise
            say(f"{error}: {KEPT_INSTEAD}")
            exported = export_from(None)
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


def _with_comparison(written: Written, asked: Asked, baseline: Path) -> Written:
    """Write the comparison with a baseline, and the summary of a run again with the change."""
    from reelbench.reporting.compare.comparison import export as export_comparison  # noqa: PLC0415 - scipy.stats takes a second

    output = Output(asked.formats, charts=asked.charts, html=asked.html)
    found = export_comparison(asked.folder, baseline, force=asked.force, output=output)
    if written.short is not None:
        _put_change(asked.folder, written.short, found.record)
    code = ExitCode.FAIL if asked.fail_on and found.record.worse else written.exit_code
    return msgspec.structs.replace(
        written, exit_code=code, lines=written.lines + found.summary, pages=written.pages + found.pages
    )


def _put_change(folder: Path, summary: Summary, record: ComparisonRecord) -> None:
    """Write the summary of a run again, with the change against the baseline."""
    from reelbench.reporting.compare.change import change_of  # noqa: PLC0415 - as the comparison

    changed = msgspec.structs.replace(summary, change=change_of(record))
    publish_summary(folder / REPORTS_DIR, changed, summary_report(changed))
