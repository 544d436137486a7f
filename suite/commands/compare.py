"""``reelbench compare NEW OLD``: two runs that exist; ``--ab BASE HEAD``: two sides, which it runs in alternation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.option_line import Options, with_workload
from reelbench.reporting.catalogue.prices import PRICES_FILE
from reelbench.suite.commands import report
from reelbench.suite.commands.console import RUNS, fail
from reelbench.suite.commands.report import (
    ALL_FORMATS,
    Charts,
    FailOn,
    Force,
    Formats,
    Html,
    Kept,
    Prices,
    PrometheusUrl,
)

PAIRS = 12
BUDGET = "30m"
MARGIN = 5.0


@with_workload
def main(
    *,
    options: Options,
    new: Annotated[Path | None, typer.Argument(help="Run, or folder of repetitions, to judge.")] = None,
    old: Annotated[Path | None, typer.Argument(help="Run, or folder of repetitions, that is the baseline.")] = None,
    prometheus: PrometheusUrl = None,
    kept: Kept = False,
    prices: Prices = PRICES_FILE,
    charts: Charts = True,
    formats: Formats = ALL_FORMATS,
    fail_on: FailOn = None,
    force: Force = False,
    html: Html = None,
    ab: Annotated[
        tuple[str, str] | None,
        typer.Option("--ab", metavar="BASE HEAD", help="Run two commits, settings files or URLs in alternation."),
    ] = None,
    pairs: Annotated[int, typer.Option(help="With --ab: most pairs of runs, an even number.")] = PAIRS,
    budget: Annotated[str, typer.Option(help="With --ab: time for all runs, such as 20m.")] = BUDGET,
    margin: Annotated[
        float, typer.Option(help="With --ab: per cent of the response time within which the sides are equal.")
    ] = MARGIN,
    runs: Annotated[Path, typer.Option(help="With --ab: folder in which the comparison's folder is created.")] = RUNS,
) -> None:
    """Write the reports of NEW again, and its comparison with OLD; or run two sides in alternation and compare them.

    With --ab, BASE and HEAD are two commits of this checkout, two files with settings (NAME=value) of the service and
    its providers, or two base URLs. They are run A B B A ... with one plan until the answer is known or the budget is
    spent. Default load: the scenario single_request. The options about server and load go with --ab only.

    Exit codes with --ab: 0 compared; 1 with --fail-on worse: HEAD is worse; 2 bad usage; 3 no answer is possible; 4 a
    side is not there; 130 interrupted.
    """
    if ab is not None:
        given = [name for name, on in {"--prometheus": prometheus, "--kept": kept, "NEW and OLD": new}.items() if on]
        if given:
            fail(ExitCode.USAGE, [f"{name} cannot be given with --ab; leave it out" for name in given])
        from reelbench.suite.commands.compare_ab import Asked, run  # noqa: PLC0415 - loads the stack

        asked = Asked(
            base=ab[0], head=ab[1], pairs=pairs, budget=budget, margin=margin, runs=runs, force=force, html=html
        )
        run(asked, options, fail_on=fail_on)
    if new is None or old is None:
        fail(
            ExitCode.USAGE,
            ["NEW and OLD are missing; name two runs, or --ab BASE HEAD (all options: reelbench compare --help)"],
        )
    if options != Options() or (pairs, budget, margin, runs) != (PAIRS, BUDGET, MARGIN, RUNS):
        words = [word for word in options.arguments() if word.startswith("--")] or [
            "--pairs, --budget, --margin, --runs"
        ]
        fail(ExitCode.USAGE, [f"{', '.join(words)}: only with --ab; NEW and OLD are runs that were made already"])
    report.main(
        run=new,
        compare=old,
        prometheus=prometheus,
        kept=kept,
        prices=prices,
        charts=charts,
        formats=formats,
        fail_on=fail_on,
        force=force,
        html=html,
    )
