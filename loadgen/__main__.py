"""Command line of the load generator: ``python -m reelbench.loadgen run|check|list``.

Standard output of ``run`` belongs to the trace exporter; everything for the user goes to standard error.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":  # Ctrl-C while the imports take their second has nothing to save, and no traceback to show
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, lambda *_: sys.exit(130))

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop
from rich.console import Console

from reelbench.exit_code import ExitCode
from reelbench.loadgen import telemetry
from reelbench.loadgen.document import SAMPLE
from reelbench.loadgen.drive.session import execute
from reelbench.loadgen.options import OptionsError, check_options
from reelbench.loadgen.plan.arrivals import expected_jobs
from reelbench.loadgen.plan.scenario import PROFILES, Scenario
from reelbench.loadgen.plan.scenario_file import ScenarioError, load_folder

app = typer.Typer(
    help="Drives a text-to-video service with known load.", no_args_is_help=True, pretty_exceptions_enable=False
)


@app.command()
def run(
    *,
    run_dir: Annotated[Path, typer.Option(help="Folder for the files of this run.")],
    target: Annotated[str, typer.Option(help="Base URL of the service, without /v1.")],
    run_id: Annotated[str | None, typer.Option(help="Name of the run on metrics and traces.")] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Scenario to run; repeatable. Default: all.")] = None,
    profile: Annotated[str, typer.Option(help=f"Size of the run: {', '.join(PROFILES)}.")] = "quick",
    seed: Annotated[int, typer.Option(help="Seed of the plan.")] = 1,
    document: Annotated[Path, typer.Option(help="PDF or text file that jobs upload.")] = SAMPLE,
    providers: Annotated[
        str | None, typer.Option(help="Base URL of the mock providers, for scenarios that let them fail.")
    ] = None,
    rendezvous: Annotated[
        str | None,
        typer.Option(
            help="Redis or Valkey in which several load generators meet, to run one plan together: each takes a "
            "share, and makes a folder of its own below --run-dir.",
        ),
    ] = None,
) -> None:
    """Run scenarios against a service and write the run directory."""
    try:
        settings = check_options(
            run_dir,
            run_id,
            target,
            scenario or [],
            profile,
            seed,
            document,
            providers=providers,
            rendezvous=rendezvous,
        )
    except OptionsError as error:
        _stop(error.errors)
    console = Console(stderr=True)
    try:
        telemetry.configure("loadgen")
    except telemetry.TelemetryError as error:
        _stop([str(error)])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(execute(settings, console))
    except KeyboardInterrupt:  # before the run could take care of signals: nothing is written yet
        code = ExitCode.INTERRUPTED
    finally:
        telemetry.shutdown()
    raise typer.Exit(code)


@app.command()
def check() -> None:
    """Validate all scenario files."""
    scenarios = _load()
    cases = sum(len(scenario.cases) for scenario in scenarios.values())
    typer.echo(f"{len(scenarios)} scenarios with {cases} cases are valid")


@app.command("list")
def list_scenarios() -> None:
    """List the scenarios with the number of measured jobs per profile."""
    scenarios = _load()
    width = max(len(name) for name in scenarios)
    for scenario in scenarios.values():
        jobs = ", ".join(f"{name} {sum(expected_jobs(case, name) for case in scenario.cases)}" for name in PROFILES)
        typer.echo(f"{scenario.name:{width}}  {scenario.title} ({scenario.dimension}; jobs: {jobs})")


def _load() -> dict[str, Scenario]:
    try:
        return load_folder()
    except ScenarioError as error:
        _stop(error.errors)


def _stop(errors: tuple[str, ...] | list[str]) -> NoReturn:
    for error in errors:
        typer.echo(f"error: {error}", err=True)
    raise typer.Exit(ExitCode.USAGE)


if __name__ == "__main__":
    app(prog_name="python -m reelbench.loadgen")
