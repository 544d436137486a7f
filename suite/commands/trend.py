"""``reelbench trend``: find the runs of a history at which an indicator changed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.suite.commands.console import RUNS, echo, fail

FOLDER = "trend"
_NO_OTAVA = (
    "Apache Otava is not installed, which finds the changes; install it with: pip install --no-deps apache-otava==0.8.0"
)


def main(
    *,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders of runs or of CI artefacts, or files results.json.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report. Default: trend/ in the first folder.")] = None,
    newest: Annotated[int | None, typer.Option(help="Read only so many runs of each group, the newest.")] = None,
    charts: Annotated[bool, typer.Option(help="Draw the charts of the report.")] = True,
    fail_on: Annotated[
        str | None, typer.Option(help="worse: exit code 1 when the newest change of an indicator is for the worse.")
    ] = None,
) -> None:
    """Find the runs at which an indicator changed, over all runs of a folder.

    Runs of one target, profile, plan and machine are one group, in the order of their starts. Runs that are not
    finished or not valid are left out. The report, trend.json and the charts go to trend/ in the folder.

    Exit codes: 0 pass; with --fail-on worse 1 when the newest change of an indicator is for the worse; 2 bad usage, or
    no run; 3 too few runs to find any change.
    """
    if wrong := _errors(newest, fail_on):
        fail(ExitCode.USAGE, wrong)
    if find_spec("otava") is None:
        fail(ExitCode.USAGE, [_NO_OTAVA])
    from reelbench.reporting.trend.trend import export  # noqa: PLC0415 - scipy.stats takes a second

    given = paths or [RUNS]
    folder = out or (given[0] if given[0].is_dir() else given[0].parent) / FOLDER
    try:
        written = export(given, folder, newest=newest, charts=charts)
    except CatalogueError as error:
        fail(ExitCode.USAGE, error.errors)
    except RecordError as error:
        fail(ExitCode.USAGE, [str(error)])
    except OSError as error:
        where = error.filename or folder
        fail(ExitCode.USAGE, [f"cannot read or write {where} ({error.strerror}); correct it, or name another --out"])
    for line in written.summary:
        echo(line)
    if not written.record.judged:
        raise typer.Exit(ExitCode.INCONCLUSIVE)
    raise typer.Exit(ExitCode.FAIL if fail_on and written.record.worse else ExitCode.PASS)


def _errors(newest: int | None, fail_on: str | None) -> list[str]:
    errors = []
    if newest is not None and newest < 1:
        errors.append(f"--newest: {newest} is no number of runs; use one from 6, the least that can show a change")
    if fail_on not in {None, "worse"}:
        errors.append(f"--fail-on: {fail_on!r} is unknown; use worse")
    return errors
