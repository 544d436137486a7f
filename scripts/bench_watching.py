"""Measure what watching costs late in a quick suite: scrapes at both ends, and the same load before and after it.

Each suite runs on free loopback ports, in a temporary folder that is removed unless --keep names another. It takes some
three minutes. Exit codes: 0 measured, 2 bad usage, 3 the suite went wrong, 4 Prometheus did not start, 130 interrupted.
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
from reelbench.bench.machine_speed import MachineSpeed
from reelbench.bench.watching import Suite, compared, drive, lines, scrapes
from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.jobs import read_jobs
from reelbench.reporting.evidence.prometheus import QueryError, connect
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.reopen_tsdb import reopen_tsdb
from reelbench.suite.commands.console import fail, say


def main(
    *,
    suites: Annotated[int, typer.Option(min=1, help="Suites, one after the other.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="New folder for the runs, which then stay.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first plan; each suite has one more.")] = 1,
) -> None:
    """Measure what watching costs late in a quick suite."""
    if keep is not None and keep.exists():
        fail(ExitCode.USAGE, [f"--keep: {keep} is there already; name a new folder"])
    found: list[Suite] = []
    try:
        prometheus = find_prometheus(report=say)
        with ExitStack() as folders:
            folder = keep or Path(folders.enter_context(TemporaryDirectory(prefix="reelbench-watching-")))
            for number in range(suites):
                with MachineSpeed() as speed:
                    run_dir = drive(folder.resolve() / str(number + 1), seed + number, show=say)
                with reopen_tsdb(run_dir, prometheus) as url:
                    ends = scrapes(run_dir, connect(url))
                found.append(Suite(tuple(ends), tuple(compared(read_jobs(run_dir), speed.pieces))))
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, [str(error)])
    except (StackError, QueryError) as error:
        fail(ExitCode.ABSENT, [str(error)])
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])
    for line in lines(found):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
