"""Measure the cost of spans: CPU time to start and end a span and to encode it, next to OpenTelemetry's own packages.

Everything runs in this process. Exit codes: 0 measured, 2 bad usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.spans import lines, run
from reelbench.exit_code import ExitCode
from reelbench.suite.commands.console import fail


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of all variants; the interval needs at least two.")] = 20,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs of each round, 42 spans each.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order and of the values.")] = 1,
) -> None:
    """Measure the cost of spans."""
    try:
        costs = run(rounds, jobs, seed)
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])
    for line in lines(costs):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
