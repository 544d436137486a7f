"""What the subcommands share: messages to the user, and the folder of runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.drive.style import Style
from reelbench.output import write_line

RUNS: Final = Path("runs")
"""Folder that runs are written to and looked for in, below the working directory."""
STYLE: Final[ContextVar[Style]] = ContextVar("STYLE", default=Style.LINES)
"""How messages are written to standard error: as lines, as JSON lines, or errors alone."""


class FailedError(typer.Exit):
    """The end of a command whose errors have been written."""

    def __init__(self, code: ExitCode, errors: Sequence[str]) -> None:
        super().__init__(code)
        self.errors = tuple(errors)


def say(line: str) -> None:
    """Write a line to standard error; only results go to standard output."""
    match STYLE.get():
        case Style.NONE:
            return
        case Style.JSON:
            _event("note", line)
        case _:
            echo(line, err=True)


def echo(line: str, *, err: bool = False) -> None:
    """Write a line of the result to standard output, or a message to standard error."""
    write_line(line, sys.stderr if err else sys.stdout)


def fail(code: ExitCode, errors: Sequence[str]) -> NoReturn:
    """Write one line for each error and exit.

    Raises:
        FailedError: always.
    """
    for error in errors:
        if STYLE.get() is Style.JSON:
            _event("error", error)
        else:
            echo(f"error: {error}", err=True)
    raise FailedError(code, errors)


def _event(kind: str, text: str) -> None:
    echo(msgspec.json.encode({"event": kind, "text": text}).decode(), err=True)
