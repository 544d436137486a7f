"""Measure the load generator beside k6 and Locust: requests for each second of CPU time, and what a freeze does to P95.

The peers are installed once, in an environment of their own below the cache; one that cannot be had is left out, and
said so. Everything runs on free loopback ports and in temporary folders. It takes about 25 seconds for each round.
Exit codes: 0 measured, 2 bad usage, 3 a load went wrong or a count was lost, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the command works from a checkout, without an install

from reelbench.bench.generators import BenchError
from reelbench.bench.k6_locust import K6, install
from reelbench.bench.loadgen import USERS, freeze_lines, freezes, rate_lines, rates
from reelbench.bench.ours import Ours
from reelbench.bench.rig import cores
from reelbench.exit_code import ExitCode


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of all generators; the interval needs two at least.")] = 5,
    jobs: Annotated[int, typer.Option(min=10 * USERS, help="Jobs of each load, three requests each.")] = 8000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order.")] = 1,
    freeze: Annotated[bool, typer.Option(help="Also let every generator meet a server that freezes.")] = True,
) -> None:
    """Measure the load generator beside k6 and Locust."""
    try:
        on = cores()
        peers = install(say)
        reference = next((peer.name for peer in peers if isinstance(peer, K6)), None)
        found = rates([Ours(spans=False), Ours(spans=True), *peers], rounds, jobs, seed, on=on, say=say)
        for line in rate_lines(found, reference):
            typer.echo(line)
        if freeze:
            typer.echo()
            for line in freeze_lines(freezes([Ours(spans=False), *peers], on=on)):
                typer.echo(line)
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, str(error))
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, "interrupted")


def say(line: str) -> None:
    """Tell the user what happens; results alone go to standard output."""
    typer.echo(line, err=True)


def fail(code: int, error: str) -> NoReturn:
    """End with one line."""
    say(f"error: {error}")
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
