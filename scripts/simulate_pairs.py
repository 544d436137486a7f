"""Simulate how wide the intervals of `make bench-loadgen` are, of rounds and of pairs.

Everything runs in this process. Exit codes: 0 simulated, 2 bad usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.pairs_simulation import report
from reelbench.exit_code import ExitCode
from reelbench.suite.commands.console import fail


def main(
    *,
    repetitions: Annotated[int, typer.Option(min=10, help="Simulated benchmarks for each line.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
) -> None:
    """Print the width of the intervals, and how often they hold the truth."""
    try:
        report(repetitions, seed, typer.echo)
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])


if __name__ == "__main__":
    typer.run(main)
