"""Compare the load generator with k6 and Locust: requests per second of CPU time, and the P95 of a server that freezes.

Bare loops of HTTP clients show the floor; the lateness of the load generator shows whether it keeps its own schedule.

The peers are installed once, in a separate environment in the cache; a peer that cannot be installed is reported and
left out. Everything runs on free loopback ports and in temporary folders. A round takes about 35 seconds.
Exit codes: 0 measured, 2 bad usage, 3 a load went wrong or a count was lost, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.generators import BenchError, Generator
from reelbench.bench.loadgen import (
    USERS,
    freeze_lines,
    freezes,
    lateness_lines,
    latenesses,
    rate_lines,
    rates,
    recorded_lines,
)
from reelbench.bench.ours import Ours
from reelbench.bench.peer_programs import K6, bare_clients, install
from reelbench.bench.rig import cores
from reelbench.exit_code import ExitCode
from reelbench.suite.commands.console import fail, say


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of all generators; the interval needs at least two.")] = 5,
    jobs: Annotated[int, typer.Option(min=10 * USERS, help="Jobs of each load, three requests each.")] = 8000,
    floor: Annotated[bool, typer.Option(help="Also measure bare loops of HTTP clients: what is left to gain.")] = True,
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
        reference, recording = (k6.name, k6.recording()) if k6 is not None else (None, None)
        ours = Ours(spans=True)
        compared: list[Generator] = [Ours(spans=False), ours, *peers, *(bare_clients(say) if floor else [])]
        compared += [recording] if recording is not None else []
        found = rates(compared, rounds, jobs, seed, on=on, say=say)
        for line in rate_lines(found, reference):
            typer.echo(line)
        if recording is not None:
            typer.echo()
            for line in recorded_lines(found, [Ours(spans=False).name, ours.name], recording.name):
                typer.echo(line)
        if lateness:
            typer.echo()
            for line in lateness_lines(ours.name, latenesses(ours, found, on=on)):
                typer.echo(line)
        if freeze:
            typer.echo()
            for line in freeze_lines(freezes([Ours(spans=False), *peers], on=on)):
                typer.echo(line)
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, [str(error)])
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])


if __name__ == "__main__":
    typer.run(main)
