"""Measure what telemetry costs: jobs per second and P95 with it on and off, as ratios with their intervals.

Everything runs on free loopback ports and in temporary folders; nothing stays. It takes about 20 seconds for each pair.
Exit codes: 0 measured, 2 bad usage, 3 a load went wrong, 4 a service did not start, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the command works from a checkout, without an install

from reelbench.bench.overhead import OverheadError, lines, run
from reelbench.exit_code import ExitCode
from reelbench.loadgen.document import SAMPLE, read_document
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError


def main(
    *,
    pairs: Annotated[int, typer.Option(min=1, help="Comparisons; the interval needs two at least.")] = 5,
    jobs: Annotated[int, typer.Option(min=16, help="Measured jobs of each load.")] = 96,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order and of the plans.")] = 1,
) -> None:
    """Measure what telemetry costs."""
    try:
        prometheus = find_prometheus(report=say)
        found = run(pairs, jobs, seed, document=read_document(SAMPLE), prometheus=prometheus, say=say)
    except OverheadError as error:
        fail(ExitCode.INCONCLUSIVE, str(error))
    except StackError as error:
        fail(ExitCode.ABSENT, str(error))
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, "interrupted")
    for line in lines(found):
        typer.echo(line)


def say(line: str) -> None:
    """Tell the user what happens; results alone go to standard output."""
    typer.echo(line, err=True)


def fail(code: int, error: str) -> NoReturn:
    """End with one line."""
    say(f"error: {error}")
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
