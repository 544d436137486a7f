"""Measure what watching costs late in a quick suite: scrapes at both ends, and the same load before and after it.

The suite runs on free loopback ports, in a temporary folder that is removed unless --keep names another. It takes about
five minutes. Exit codes: 0 measured, 2 bad usage, 3 the suite went wrong, 4 Prometheus did not start, 130 interrupted.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.generators import BenchError
from reelbench.bench.watching import compared, drive, lines, scrapes
from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.reporting.evidence.prometheus import QueryError, connect
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.reopen_tsdb import reopen_tsdb
from reelbench.suite.commands.console import fail, say


def main(
    *,
    keep: Annotated[Path | None, typer.Option(help="New folder for the run, which then stays.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the plan.")] = 1,
) -> None:
    """Measure what watching costs late in a quick suite."""
    if keep is not None and keep.exists():
        fail(ExitCode.USAGE, [f"--keep: {keep} is there already; name a new folder"])
    try:
        prometheus = find_prometheus(report=say)
        with ExitStack() as folders:
            folder = keep or Path(folders.enter_context(TemporaryDirectory(prefix="reelbench-watching-")))
            run_dir = drive(folder.resolve(), seed, show=say)
            with reopen_tsdb(run_dir, prometheus) as url:
                ends = scrapes(run_dir, connect(url))
            levels = compared(read_jobs(run_dir))
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, [str(error)])
    except (StackError, QueryError) as error:
        fail(ExitCode.ABSENT, [str(error)])
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])
    for line in lines(ends, levels):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
