"""``reelbench open``: open the page of a run, or the page about all runs, in the browser."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run_files import RUN_FILE, RecordError
from reelbench.reporting.compare.folders import has_several_runs
from reelbench.suite.commands.console import RUNS, echo, fail, say
from reelbench.suite.result import PAGE, REPORTS_DIR


def main(
    *,
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a run, or its name under --runs. Default: all runs.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = RUNS,
    only_print: Annotated[bool, typer.Option("--print", help="Print the address, open nothing.")] = False,
) -> None:
    """Open the page of a run, of a report about several runs, or without RUN the page about all, and print its address.

    Where there is no browser that shows windows, the address is printed alone.

    Exit codes: 0 the page is there; 2 there is no such run, or it has no page.
    """
    page = _index(runs) if run is None else _page(run, runs)
    address = page.resolve().as_uri()
    echo(address)
    if not only_print and can_show(os.environ, sys.platform) and not shown(address):
        say("no browser could be started; open the address above")


def can_show(environment: Mapping[str, str], platform: str) -> bool:
    """Return whether a browser can have a window: a browser in the terminal would take the terminal over."""
    return platform in {"darwin", "win32"} or any(
        environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )


def shown(address: str) -> bool:
    """Open an address in the browser; return whether one was found."""
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False


def _index(runs: Path) -> Path:
    from reelbench.suite.index import write_index  # noqa: PLC0415 - the analysis of a history takes a second

    try:
        return write_index(runs, time.time())
    except RecordError as error:
        fail(ExitCode.USAGE, [str(error)])
    except OSError as error:
        where = error.filename or runs
        fail(ExitCode.USAGE, [f"cannot read or write {where} ({error.strerror}); name another --runs"])


def _page(run: Path, runs: Path) -> Path:
    folder = run if (run / RUN_FILE).is_file() or run.parent != Path() else runs / run
    if not (folder / RUN_FILE).is_file() and not (folder / REPORTS_DIR).is_dir():
        fail(ExitCode.USAGE, [f"there is no run {run}; the runs: reelbench list runs --runs {runs}"])
    pages = [folder / REPORTS_DIR / PAGE]
    if has_several_runs(folder):
        pages += sorted((folder / REPORTS_DIR).glob("*.html"))
    page = next((one for one in pages if one.is_file()), None)
    if page is None:
        fail(ExitCode.USAGE, [f"{folder} has no page; write it with: reelbench report {folder}"])
    return page
