"""Measure the cost of telemetry.

Pairs: jobs per second and P95 with telemetry on and off, as ratios with their intervals. Rounds: the CPU time a job of
each part of the telemetry. Everything runs on free loopback ports and in temporary folders, which are removed. A pair
takes about 35 seconds, a round about 25.
Exit codes: 0 measured, 2 bad usage, 3 a load went wrong, 4 a service did not start, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench import overhead, overhead_parts
from reelbench.bench.generators import BenchError
from reelbench.exit_code import ExitCode
from reelbench.loadgen.document import SAMPLE, read_document
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError
from reelbench.suite.commands.console import fail, say

_JOBS = 64
"""Measured jobs of a load in a round."""


def main(
    *,
    pairs: Annotated[int, typer.Option(min=1, help="Comparisons; the interval needs at least two.")] = 5,
    jobs: Annotated[int, typer.Option(min=16, help="Measured jobs of each of the four loads of a pair.")] = 160,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds of the variants; 0 leaves the parts out.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order and of the plans.")] = 1,
) -> None:
    """Measure the cost of telemetry."""
    try:
        prometheus = find_prometheus(report=say)
        document = read_document(SAMPLE)
        found = overhead.run(pairs, jobs, seed, document=document, prometheus=prometheus, say=say)
        for line in overhead.lines(found):
            typer.echo(line)
        if rounds:
            parts = overhead_parts.run(rounds, _JOBS, seed, document=document, prometheus=prometheus, say=say)
            for line in ("", *overhead_parts.lines(parts)):
                typer.echo(line)
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, [str(error)])
    except StackError as error:
        fail(ExitCode.ABSENT, [str(error)])
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])


if __name__ == "__main__":
    typer.run(main)
