"""What the subcommands share: messages to the user, and the folder of runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import typer

from reelbench.exit_code import ExitCode
from reelbench.output import write_line

RUNS: Final = Path("runs")
"""Folder that runs are written to and looked for in, below the working directory."""


def say(line: str) -> None:
    """Write a line to standard error; only results go to standard output."""
    echo(line, err=True)


def echo(line: str, *, err: bool = False) -> None:
    """Write a line of the result to standard output, or a message to standard error."""
    write_line(line, sys.stderr if err else sys.stdout)


def fail(code: ExitCode, errors: Sequence[str]) -> NoReturn:
    """Write one line for each error and exit.

    Raises:
        typer.Exit: always.
    """
    for error in errors:
        say(f"error: {error}")
    raise typer.Exit(code)
