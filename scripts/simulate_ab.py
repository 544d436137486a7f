"""Simulate interleaved comparisons with the variation between real runs: how often they find a shift, or a false one.

Takes about a minute. Exit codes: 0 simulated, 2 bad usage.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.ab_simulation import MEASURED, STAGE, lines, model_of, read_variation, simulate
from reelbench.bench.generators import BenchError
from reelbench.exit_code import ExitCode
from reelbench.reporting.compare.ab.judge import rule
from reelbench.suite.commands.console import fail

TAILS = 4.0
"""Degrees of freedom of the heavy-tailed variant."""


def main(
    *,
    variation: Annotated[
        Path, typer.Option(help="Runs of equal sides: an ab.json made with --ab A A --force.")
    ] = MEASURED,
    shift: Annotated[float, typer.Option(help="Milliseconds that are added to the LLM script of HEAD.")] = 80.0,
    pairs: Annotated[int, typer.Option(min=4, help="Most pairs of a comparison, an even number.")] = 12,
    repetitions: Annotated[int, typer.Option(min=1, help="Simulated comparisons of each kind.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawing.")] = 1,
) -> None:
    """Simulate interleaved comparisons."""
    try:
        runs = read_variation(variation)
    except BenchError as error:
        fail(ExitCode.USAGE, [f"--variation: {error}"])
    model = model_of(runs)
    how = rule(pairs, budget=0.0)
    kinds: list[tuple[str, dict[str, float], float | None]] = [
        ("equal sides", {}, None),
        ("equal sides, heavy tails", {}, TAILS),
        (f"{STAGE} {shift:+g} ms", {STAGE: shift / 1000}, None),
        (f"{STAGE} {shift:+g} ms, heavy tails", {STAGE: shift / 1000}, TAILS),
    ]
    found = [
        (what, simulate(model, how, moved, repetitions=repetitions, seed=seed, tails=tails))
        for what, moved, tails in kinds
    ]
    for line in lines(model, runs, found):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
