"""Measure the cost of a scrape: CPU of the text, ours and the official exporter's, and of Prometheus for the page.

Everything runs on free loopback ports and in temporary folders, which are removed. It takes about a minute.
Exit codes: 0 measured, 2 bad usage, 3 a measurement went wrong, 4 Prometheus did not start, 130 interrupted.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reelbench.bench.generators import BenchError
from reelbench.bench.scrape import ingest, lines, render
from reelbench.exit_code import ExitCode
from reelbench.stack.binaries import find_prometheus
from reelbench.stack.errors import StackError
from reelbench.suite.commands.console import fail, say


def main(
    *,
    series: Annotated[int, typer.Option(min=1, max=2000, help="Histograms of the page, 17 lines each.")] = 823,
    rounds: Annotated[int, typer.Option(min=2, help="Scrapes of each kind.")] = 7,
    scrapes: Annotated[int, typer.Option(min=2, help="Scrapes by Prometheus, one a second.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the values.")] = 1,
) -> None:
    """Measure the cost of a scrape."""
    try:
        prometheus = find_prometheus(report=say)
        rendered = render(series, rounds, seed)
        with tempfile.TemporaryDirectory(prefix="reelbench-scrape-") as folder:
            ingested = ingest(series, scrapes, seed, prometheus, Path(folder))
    except BenchError as error:
        fail(ExitCode.INCONCLUSIVE, [str(error)])
    except StackError as error:
        fail(ExitCode.ABSENT, [str(error)])
    except KeyboardInterrupt:
        fail(ExitCode.INTERRUPTED, ["interrupted"])
    for line in lines(rendered, ingested, prometheus.version):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
