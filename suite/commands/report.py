"""``reelbench report``: write the reports of a finished run again, the same bytes each time."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.prometheus_access import access_errors
from reelbench.loadgen.record.run_files import RUN_FILE, TRACES_DIR, RecordError
from reelbench.loadgen.record.stack import read_stack
from reelbench.reporting.catalogue.prices import PRICES_FILE
from reelbench.reporting.evidence.reading_process import ReadAhead, read_ahead
from reelbench.reporting.formats import DEFAULT, Format, FormatError, formats_of
from reelbench.suite.commands.console import RUNS, echo, fail, say

PrometheusUrl = Annotated[str | None, typer.Option(help="Base URL of a Prometheus that holds the run.")]
Kept = Annotated[bool, typer.Option("--kept", help="Use the kept measurements.json, query no Prometheus.")]
Prices = Annotated[Path, typer.Option(help="Price list of the costs.")]
Charts = Annotated[bool, typer.Option(help="Draw the charts of the report.")]
Formats = Annotated[str, typer.Option("--format", help=f"What to write, separated by commas: {', '.join(Format)}.")]
FailOn = Annotated[str | None, typer.Option(help="worse: exit code 1 when an indicator is worse in repeated runs.")]
Force = Annotated[bool, typer.Option("--force", help="Compare although it would mislead; the report says why.")]
Html = Annotated[Path | None, typer.Option("--html", help="File in which the page of the comparison is written too.")]
ALL_FORMATS = ",".join(DEFAULT)


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
    try:
        folder = run or newest(RUNS)
    except RecordError as error:
        fail(ExitCode.USAGE, [str(error)])
    with _read_ahead(folder) or nullcontext() as ahead:
        from reelbench.suite.commands.report_writer import Asked, write  # noqa: PLC0415 - loads numpy and scipy; meanwhile traces are read

        written = write(
            Asked(
                folder=folder,
                prometheus=prometheus,
                kept=kept,
                prices=prices,
                charts=charts,
                formats=frozenset(formats_of(formats)),
                compare=compare,
                fail_on=fail_on,
                force=force,
                html=html,
            ),
            ahead,
        )
    for line in written.lines:
        echo(line)
    for line in written.remarks:
        say(line)
    raise typer.Exit(written.exit_code)


def _read_ahead(folder: Path) -> ReadAhead | None:
    """Begin to read the trace files of a run in a second process; None where that does not help or is not possible.

    Mistakes are left to the writer of the reports, which names them.
    """
    with suppress(OSError, RecordError):
        stack = read_stack(folder)
        if (folder / RUN_FILE).is_file() and (stack is None or stack.traces_url is None):
            return read_ahead(folder / TRACES_DIR)
    return None


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
