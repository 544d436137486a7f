"""``reelbench compare --ab BASE HEAD``: check what was asked, prepare both sides, run, and print the answer."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import typer

from reelbench import CHECKOUT, HOME
from reelbench.exit_code import ExitCode
from reelbench.loadgen.machine.limit import LimitError, others_limit
from reelbench.loadgen.option_line import ACCESS, Options
from reelbench.loadgen.options import OptionsError, check_options
from reelbench.loadgen.plan import quantity
from reelbench.loadgen.plan.quantity import QuantityError
from reelbench.reporting.compare.ab.judge import BLOCK, FIRST_LOOK, rule
from reelbench.reporting.compare.ab.records import AbRecord, Answer, Ended
from reelbench.reporting.compare.folders import AB_SUFFIX
from reelbench.reporting.compare.writing import Output
from reelbench.stack.binaries import cache_folder
from reelbench.stack.embedded import check_installed
from reelbench.stack.forwarding import Forwarding
from reelbench.suite.ab.ab_error import AbError
from reelbench.suite.ab.checkouts import Program, checked_out
from reelbench.suite.ab.git import git, git_environment
from reelbench.suite.ab.leg import LegRunner
from reelbench.suite.ab.series import Comparison
from reelbench.suite.ab.sides import COMMITS, TARGETS, Side, read_sides
from reelbench.suite.commands.console import echo, fail, say
from reelbench.suite.commands.report import html_errors
from reelbench.suite.failures import FAILURES, explain
from reelbench.suite.run_folders import folder_errors

SCENARIO = "single_request"
MOST_PAIRS = 100
_CHECKED_AS = "http://127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of an interleaved comparison, as the user typed them."""

    base: str
    head: str
    pairs: int
    budget: str
    margin: float
    """Per cent."""
    runs: Path
    force: bool
    html: Path | None


def run(asked: Asked, options: Options, *, fail_on: str | None) -> NoReturn:
    """Compare two sides in alternation.

    Raises:
        typer.Exit: always, with the exit code.
    """
    forwarding = Forwarding()
    forwarding.listen()
    try:
        sides, options, seconds = _checked(asked, options, fail_on)
        with _programs(sides) as programs:
            comparison = Comparison(
                folder=asked.runs / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}{AB_SUFFIX}",
                sides=sides,
                programs=programs,
                rule=rule(asked.pairs, budget=seconds, margin=asked.margin / 100),
                runs=LegRunner(tuple(options.arguments()), forwarding, os.environ),
                say=say,
                order=random.Random(),
                output=Output(html=asked.html),
            )
            written = comparison.make()
    except AbError as error:
        fail(ExitCode.USAGE, error.errors)
    except OptionsError as error:
        fail(ExitCode.USAGE, error.errors)
    except FAILURES as error:
        fail(*explain(error, asked.runs))
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    for line in written.summary:
        echo(line)
    for page in written.pages:
        say(f"page about several runs: {page}")
    raise typer.Exit(exit_code(written.record, fail_on_worse=fail_on == "worse"))


def exit_code(record: AbRecord, *, fail_on_worse: bool) -> ExitCode:
    """Return the exit code of a comparison that was made."""
    if record.ended is Ended.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if record.answer is Answer.WORSE and fail_on_worse:
        return ExitCode.FAIL
    return ExitCode.INCONCLUSIVE if record.answer is Answer.CANNOT_TELL else ExitCode.PASS


def _checked(asked: Asked, options: Options, fail_on: str | None) -> tuple[tuple[Side, Side], Options, float]:
    """Return sides, options of the load, and seconds of the budget, before anything is started.

    Raises:
        AbError: with all mistakes.
        StackError: the embedded stack is not installed.
        TargetError: a target does not answer, or does not speak the API.
    """
    errors = [*_number_errors(asked), *html_errors(asked.html)]
    errors += [f"--fail-on: {fail_on!r} is unknown; use worse"] if fail_on not in {None, "worse"} else []
    seconds = 0.0
    try:
        seconds = quantity.seconds(asked.budget)
    except QuantityError as error:
        errors.append(f"--budget: {asked.budget!r}: {error}")
    try:
        others_limit(os.environ)
    except LimitError as error:
        errors.append(str(error))
    errors += folder_errors(asked.runs)
    try:
        sides = read_sides(asked.base, asked.head, CHECKOUT, force=asked.force)
    except AbError as error:
        raise AbError(*errors, *error.errors) from error
    options = _described(options, sides[0].kind, errors)
    for side in sides:
        try:
            settings = check_options(asked.runs / "ab", "ab", replace(options, target=side.target or _CHECKED_AS))
        except OptionsError as error:
            errors += [line for line in error.errors if line not in errors]
            continue
        if side.kind == TARGETS and not errors:
            from reelbench.loadgen.target.target import check_target  # noqa: PLC0415 - the client, only for targets

            url = settings.credentials.full(settings.target)
            asyncio.run(check_target(url, settings.credentials, server=settings.server, model=settings.model))
    if errors:
        raise AbError(*errors)
    if sides[0].kind != TARGETS:
        check_installed()
    return sides, options, seconds


def _number_errors(asked: Asked) -> list[str]:
    errors = []
    if not FIRST_LOOK <= asked.pairs <= MOST_PAIRS or asked.pairs % BLOCK:
        errors.append(f"--pairs: is {asked.pairs}; use an even number from {FIRST_LOOK} to {MOST_PAIRS}")
    if not 0 < asked.margin <= 100:  # noqa: PLR2004 - per cent
        errors.append(f"--margin: is {asked.margin:g}; use per cent above 0 and up to 100")
    return errors


def _described(options: Options, kind: str, errors: list[str]) -> Options:
    """Return the options of the load, with the default scenario and, for our service, its description."""
    if not options.scenario and options.scenarios is None and options.arrivals is None:
        options = replace(options, scenario=(SCENARIO,))
    options = replace(options, check_videos="0")
    if kind == TARGETS:
        return options
    defaults = {field.name: field.default for field in fields(Options)}
    given = [name for name in ACCESS if name != "time_limit" and getattr(options, name) != defaults[name]]
    errors += [f"--{name.replace('_', '-')}: is about a server of yours; with {kind}, leave it out" for name in given]
    return options if given else replace(options, preset="reelbench")


@contextmanager
def _programs(sides: tuple[Side, Side]) -> Iterator[Sequence[Program | None]]:
    """Yield where service and providers of each side come from; None for a target."""
    match sides[0].kind:
        case kind if kind == COMMITS and CHECKOUT is not None:
            if _uncommitted(CHECKOUT):
                say("note: uncommitted changes of this checkout are on neither side; commit them to compare them")
            with checked_out([side.commit for side in sides], CHECKOUT, cache_folder(), say) as programs:
                yield programs
        case kind if kind == TARGETS:
            yield (None, None)
        case _:
            yield (Program(HOME, sys.executable),) * 2


def _uncommitted(checkout: Path) -> bool:
    command = git(checkout, "status", "--porcelain", "--untracked-files=no")
    return bool(subprocess.run(command, capture_output=True, check=False, env=git_environment()).stdout.strip())
