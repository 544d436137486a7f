"""Command line of the load generator: ``python -m reelbench.loadgen run``.

Standard output of ``run`` is reserved for the trace exporter; messages go to standard error.
"""

from __future__ import annotations

from reelbench.ending import end_at_once

if __name__ == "__main__":  # a signal during the imports: nothing to save, and no traceback
    end_at_once()

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop

from reelbench.crash import crashed
from reelbench.exit_code import ExitCode
from reelbench.loadgen import telemetry
from reelbench.loadgen.drive.display import stderr_console
from reelbench.loadgen.drive.session import execute
from reelbench.loadgen.drive.style import Style
from reelbench.loadgen.export_troubles import ExportTroubles
from reelbench.loadgen.option_line import Options, with_options
from reelbench.loadgen.options import JOIN_LIMIT, OptionsError, check_options
from reelbench.output import write_line

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Drive a text-to-video service with known load."""  # a callback keeps `run` a subcommand


@app.command()
@with_options
def run(
    *,
    options: Options,
    run_dir: Annotated[Path, typer.Option(help="Folder for the files of this run.")],
    run_id: Annotated[
        str | None, typer.Option(envvar="REELBENCH_RUN_ID", help="Name of the run on metrics and traces.")
    ] = None,
    providers: Annotated[
        str | None, typer.Option(help="Base URL of the mock providers, for scenarios with faults.")
    ] = None,
    rendezvous: Annotated[
        str | None,
        typer.Option(
            help="Redis or Valkey that coordinates several load generators which run one plan: each runs a share of "
            "the plan and writes a folder below --run-dir.",
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(
            envvar="REELBENCH_REPLICAS",
            help="Number of these load generators: all must come. Default: those that come within a quiet window.",
        ),
    ] = None,
    index: Annotated[
        int | None, typer.Option(envvar="JOB_COMPLETION_INDEX", help="Number of this one of --replicas, from 0.")
    ] = None,
    join_limit: Annotated[float, typer.Option(help="Seconds within which all --replicas must be there.")] = JOIN_LIMIT,
    progress: Annotated[Style, typer.Option(help="How progress is shown; none: errors alone.")] = Style.AUTO,
) -> None:
    """Run scenarios against a service and write the run directory."""
    try:
        settings = check_options(
            run_dir,
            run_id,
            options,
            providers=providers,
            rendezvous=rendezvous,
            replicas=replicas,
            index=index,
            join_limit=join_limit,
        )
    except OptionsError as error:
        _stop(error.errors)
    console = stderr_console(os.environ, terminal=sys.stderr.isatty())
    try:
        telemetry.configure("loadgen")
    except telemetry.TelemetryError as error:
        _stop([str(error)])
    with ExportTroubles(telemetry.receiver()) as troubles:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                code = runner.run(execute(settings, console, progress))
        except KeyboardInterrupt:  # before the run handles signals: nothing is written yet
            code = ExitCode.INTERRUPTED
        finally:
            end_at_once()  # the run is written; a signal ends the wait for a receiver that does not answer
            telemetry.shutdown()
    if (warning := troubles.warning()) is not None:
        write_line(warning, sys.stderr)
    raise typer.Exit(code)


def _stop(errors: tuple[str, ...] | list[str]) -> NoReturn:
    for error in errors:
        write_line(f"error: {error}", sys.stderr)
    raise typer.Exit(ExitCode.USAGE)


if __name__ == "__main__":
    try:
        app(prog_name="python -m reelbench.loadgen")
    except Exception as error:  # noqa: BLE001 - the border of the program
        sys.exit(crashed(error))
