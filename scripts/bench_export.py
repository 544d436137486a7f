"""Measure the export of large runs: seconds and peak memory for made runs of growing size, and for their traces.

The runs are made in a temporary folder, which is removed. Exit codes: 0 measured, 2 bad usage, 3 an export failed,
130 interrupted.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.export import growth, line, run, run_traces, trace_line
from reelbench.bench.generators import BenchError
from reelbench.exit_code import ExitCode
from reelbench.suite.commands.console import fail, say

SIZES = (10_000, 100_000, 1_000_000)
TRACE_SIZES = (10_000, 40_000)


def main(
    *,
    jobs: Annotated[list[int] | None, typer.Option(min=1_000, help="Size of a run; repeatable.")] = None,
    traces: Annotated[
        list[int] | None, typer.Option(min=1_000, help="Size of a run with traces, 28 kB a job; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the made runs.")] = 1,
) -> None:
    """Measure the export of large runs."""
    try:
        with tempfile.TemporaryDirectory(prefix="reelbench-export-") as folder:
            costs = run(sorted(jobs or SIZES), seed, Path(folder), say=say)
            found = run_traces(sorted(traces or TRACE_SIZES), seed, Path(folder), say=say)
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, [str(error)])
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])
    for cost in costs:
        typer.echo(line(cost))
    if len(costs) > 1:
        typer.echo(growth(costs))
    typer.echo("the traces that reports show, found in the files of a run:")
    for trace_cost in found:
        typer.echo(trace_line(trace_cost))
    if len(found) > 1:
        typer.echo(growth(found))


if __name__ == "__main__":
    typer.run(main)
