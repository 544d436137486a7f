"""Drive the scenarios against a service and write the reports.

Uses the stack of docker compose where it runs (or the one that SERVICE_URL, PROMETHEUS_URL, TEMPO_URL and
OTEL_EXPORTER_OTLP_ENDPOINT name), else starts the embedded stack (service, mock providers, Prometheus) on free loopback
ports; with ``--target`` it measures any server that speaks the OpenAI Videos API. Exit codes: 0 pass, 1 an objective
failed, 2 bad usage or configuration, 3 inconclusive or invalid, 4 the stack or the target is not there, 130 interrupted
(what was measured is saved). ``--repeat`` and ``--ablate`` make several runs of the same plan and report them together:
the exit code is then the worst of the runs, in an ablation of those with everything on.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the command works from a checkout, without an install

from reelbench.loadgen.addresses import is_base_url
from reelbench.loadgen.document import SAMPLE
from reelbench.loadgen.options import OptionsError, check_options
from reelbench.loadgen.plan.scenario import PROFILES
from reelbench.loadgen.record.run_files import RecordError
from reelbench.loadgen.target.target import TargetError, check_target
from reelbench.reporting.catalogue.prices import PricesError
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.stack.errors import StackError
from reelbench.stack.external import NAMES as ADDRESSES
from reelbench.stack.external import find_external
from reelbench.suite import variants
from reelbench.suite.interrupt import Forwarding
from reelbench.suite.measuring import Load, measure, unwritable
from reelbench.suite.series import run_series
from reelbench.suite.variants import NAMES

EXIT_USAGE, EXIT_INCONCLUSIVE, EXIT_ABSENT, EXIT_INTERRUPTED = 2, 3, 4, 130
MOST_RUNS = 1_000
"""Of one configuration: at two minutes each more than a day, so a greater number is a slip of the hand."""


def main(
    *,
    profile: Annotated[str, typer.Option(help=f"Size of the run: {', '.join(PROFILES)}.")] = "quick",
    scenario: Annotated[list[str] | None, typer.Option(help="Scenario to run; repeatable. Default: all.")] = None,
    target: Annotated[str | None, typer.Option(help="Base URL of a service to measure instead of ours.")] = None,
    document: Annotated[Path, typer.Option(help="PDF or text file that jobs upload.")] = SAMPLE,
    seed: Annotated[int, typer.Option(help="Seed of the plan.")] = 1,
    runs: Annotated[Path, typer.Option(help="Folder that the run's folder is made in.")] = ROOT / "runs",
    embedded: Annotated[bool, typer.Option("--embedded", help="Start the embedded stack in any case.")] = False,
    charts: Annotated[bool, typer.Option(help="Draw the charts of the report.")] = True,
    repeat: Annotated[int, typer.Option(help="Runs of the same plan, one after the other.")] = 1,
    ablate: Annotated[str | None, typer.Option(help=f"Also run without each of these: {','.join(NAMES)}.")] = None,
) -> None:
    """Drive the scenarios and write the reports."""
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    run_dir = runs / run_id
    arguments = ["--profile", profile, "--seed", str(seed), "--document", str(document.resolve())]
    arguments += [part for name in scenario or [] for part in ("--scenario", name)]
    forwarding = Forwarding()
    forwarding.listen()
    without = variants.parse(ablate)
    try:
        wrong = [*runs_errors(runs), *address_errors({} if target or embedded else os.environ)]
        wrong += [f"--repeat: is {repeat}; use 1 to {MOST_RUNS}"] if not 1 <= repeat <= MOST_RUNS else []
        wrong += variants.errors(without)
        with also(wrong):
            check_options(run_dir, run_id, target or "http://127.0.0.1", scenario or [], profile, seed, document)
        if target:
            asyncio.run(check_target(target))
        external = None if target or embedded else find_external(say)
        if external is not None:
            say(f"using the stack that runs at {external.addresses.service}")
        load = Load(
            runs=runs,
            arguments=tuple(arguments),
            target=external or target,
            charts=charts,
            forwarding=forwarding,
            say=say,
            show=typer.echo,
        )
        one = repeat == 1 and not without
        code = measure(load, run_id).exit_code if one else run_series(load, run_id, repeat=repeat, ablate=without)
        raise typer.Exit(code)
    except (OptionsError, CatalogueError, PricesError) as error:
        fail(EXIT_USAGE, error.errors)
    except (StackError, TargetError, QueryError) as error:
        fail(EXIT_ABSENT, [str(error)])
    except RecordError as error:
        fail(EXIT_INCONCLUSIVE, [str(error)])
    except OSError as error:
        fail(EXIT_USAGE, [unwritable(error, runs)])
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None


@contextmanager
def also(errors: Sequence[str]) -> Iterator[None]:
    """Tell these errors together with those of the options, which come first.

    Raises:
        OptionsError: there are errors of either kind.
    """
    found: Sequence[str] = ()
    try:
        yield
    except OptionsError as error:
        found = error.errors
    if found or errors:
        raise OptionsError([*found, *errors])


def runs_errors(runs: Path) -> list[str]:
    """What is wrong with the folder of runs: it, or a folder on the way to it, is a file."""
    there = next((path for path in (runs, *runs.absolute().parents) if path.exists()), None)
    return [f"--runs: {there} is a file; choose a folder"] if there is not None and not there.is_dir() else []


def address_errors(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the variables that name the parts of a running stack."""
    named = {name: url for name in ADDRESSES if (url := environment.get(name))}
    return [
        f"{name}: {url!r} is not a base URL; write it like http://127.0.0.1:8000, or unset it"
        for name, url in named.items()
        if not is_base_url(url)
    ]


def say(line: str) -> None:
    """Tell the user what happens; results alone go to standard output."""
    typer.echo(line, err=True)


def fail(code: int, errors: Sequence[str]) -> NoReturn:
    """End with one line for each error."""
    for error in errors:
        say(f"error: {error}")
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
