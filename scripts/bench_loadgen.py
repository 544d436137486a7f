"""Compare the load generator with k6 and Locust: requests per second of CPU time, and the P95 of a server that freezes.

Each ratio is of pairs: a generator and k6 run directly one after the other. Bare loops of HTTP clients show the floor;
the lateness of the load generator shows whether it keeps its own schedule.

The peers are installed once, in a separate environment in the cache; a peer that cannot be installed is reported and
left out. Everything runs on free loopback ports and in temporary folders. A pair takes about 5 seconds.
Exit codes: 0 measured, 2 bad usage, 3 a load went wrong or a count was lost, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.generators import BenchError, Generator, Load
from reelbench.bench.loadgen import (
    USERS,
    freeze_lines,
    freezes,
    lateness_lines,
    latenesses,
    rate_lines,
    recorded_lines,
)
from reelbench.bench.ours import Ours
from reelbench.bench.pairs import FURTHER_PAIRS, MAIN_PAIRS, Comparison, measure, rates_of
from reelbench.bench.peer_programs import K6, bare_clients, install
from reelbench.bench.rig import cores
from reelbench.exit_code import ExitCode
from reelbench.suite.commands.console import fail, say


def main(
    *,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of Reelbench and k6; two give an interval.")] = MAIN_PAIRS,
    further: Annotated[
        int, typer.Option(min=0, help="Pairs of each other generator; 0 leaves them out.")
    ] = FURTHER_PAIRS,
    jobs: Annotated[int, typer.Option(min=10 * USERS, help="Jobs of each load, three requests each.")] = 6000,
    floor: Annotated[bool, typer.Option(help="Also measure bare loops of HTTP clients: what is left to gain.")] = True,
    control: Annotated[
        bool, typer.Option(help="Also compare k6 with itself, in as many pairs as Reelbench: its ratio is 1.")
    ] = False,
    lateness: Annotated[
        bool, typer.Option(help="Also measure how late jobs are sent at shares of the maximum.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order.")] = 1,
    freeze: Annotated[bool, typer.Option(help="Also measure every generator with a server that freezes.")] = True,
) -> None:
    """Compare the load generator with k6 and Locust."""
    try:
        on = cores()
        peers = install(say)
        k6 = next((peer for peer in peers if isinstance(peer, K6)), None)
        own = headers, spans = Ours(spans=False), Ours(spans=True)
        reference: Generator = spans if k6 is None else k6
        others = [*peers, *(bare_clients(say) if floor else [])]
        wanted = _comparisons(own, reference, others, (pairs, further, pairs if control else 0))
        found = measure(wanted, Load("rate", USERS, jobs=jobs), seed, on=on, say=say)
        for line in rate_lines(found, reference.name):
            typer.echo(line)
        if k6 is not None and further:
            typer.echo()
            for line in recorded_lines(found, k6.recording().name):
                typer.echo(line)
        if lateness:
            typer.echo()
            for line in lateness_lines(spans.name, latenesses(spans, rates_of(found)[spans.name], on=on)):
                typer.echo(line)
        if freeze:
            typer.echo()
            for line in freeze_lines(freezes([headers, *peers], on=on)):
                typer.echo(line)
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, [str(error)])
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])


def _comparisons(
    own: Sequence[Generator], reference: Generator, others: Sequence[Generator], pairs: tuple[int, int, int]
) -> list[Comparison]:
    """Return what is compared, with as many pairs as our generators, the others and the control have."""
    mine, further, control = pairs
    wanted = [Comparison(one, reference, mine) for one in own]
    wanted += [Comparison(one, reference, further) for one in others]
    if isinstance(reference, K6):
        wanted += [Comparison(one, reference.recording(), further) for one in own]
        wanted.append(Comparison(reference.again(), reference, control))
    return [one for one in wanted if one.pairs and one.mine is not one.other]


if __name__ == "__main__":
    typer.run(main)
