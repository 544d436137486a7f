"""The command line ``reelbench``: finds the subcommand, loads only what that subcommand needs, and calls it.

A mistake in the usage is one sentence and exit code 2.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from reelbench.ending import interrupting
from reelbench.exit_code import ExitCode
from reelbench.output import discard, write_line

COMMANDS: Final = {
    "run": "drive scenarios against a service and write the reports",
    "report": "write the reports of a finished run again",
    "compare": "compare a run with an earlier one",
    "trend": "find the runs of a history at which an indicator changed",
    "list": "list the scenarios, or the runs of a folder, and remove old runs",
    "open": "open the page of a run, or of all runs, in the browser",
    "check": "check scenario files",
    "probe": "find out what a server is and has, and write a target file",
    "merge": "make one run of the shares of several load generators",
}
"""Subcommand -> what the subcommand does; the module of that name has its function `main`."""
_EXAMPLE: Final = "reelbench run --scenario single_request"
_YOUNG_OBJECTS: Final = 50_000
"""New objects after which the garbage collector looks for cycles. Python's default (700, from 3.13 on 2,000) makes it
look hundreds of times at modules and records that live until the end of the command: 5 % of the time of a report."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Call the subcommand that the command line names; return the exit code."""
    if arguments is not None:
        return _main(arguments)
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])  # a process of its own
    code = _main(sys.argv[1:])
    gc.freeze()  # else the interpreter looks for cycles in all objects at its end: an eighth of a second after a report
    return code


def _main(words: Sequence[str]) -> int:
    name, rest = (words[0], words[1:]) if words else ("", [])
    match name:
        case "-h" | "--help":
            write_line(_overview(), sys.stdout)
            return ExitCode.PASS
        case "--version":
            from reelbench.stack.environment import version  # noqa: PLC0415 - reads the metadata of packages

            write_line(f"reelbench {version()}", sys.stdout)
            return ExitCode.PASS
        case name if name in COMMANDS:
            try:
                return call(name, importlib.import_module(f"{__package__}.{name}").main, rest)
            except KeyboardInterrupt:  # while the command is imported
                return ExitCode.INTERRUPTED
    return _usage(_unknown(name), "reelbench")


def script(name: str, function: Callable[..., None]) -> int:
    """Call the function of a subcommand with the arguments of this process, for a script of that name."""
    return call(name, function, sys.argv[1:])


def _crashed(error: Exception) -> int:
    from reelbench.crash import crashed  # noqa: PLC0415 - needed once in a long time

    return crashed(error)


def call(name: str, function: Callable[..., None], arguments: Sequence[str]) -> int:
    """Call the function of a subcommand with these arguments; return the exit code."""
    import typer  # noqa: PLC0415 - takes a third of the time of `reelbench --help`

    usage_error: type[Exception] = typer.BadParameter.__bases__[0]  # of every mistake in the usage; typer hides it
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(function)
    try:
        with interrupting():
            code: Any = app(list(arguments), standalone_mode=False, prog_name=f"reelbench {name}")
    except usage_error as error:
        message = error.format_message().replace("Value error, ", "")  # type: ignore[attr-defined] # pydantic's prefix
        return _usage(message, f"reelbench {name}")
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except SystemExit as ended:  # the library of typer makes exit code 1 of every broken pipe
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        if "--help" not in arguments:
            return _crashed(ended.__context__)
        discard(sys.stdout)
        return ExitCode.PASS
    except Exception as error:  # noqa: BLE001 - the border of the program
        return _crashed(error)
    return int(code or ExitCode.PASS)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "Measures a text-to-video service through its own telemetry.",
            "",
            "Usage: reelbench COMMAND [OPTIONS]",
            "",
            "Commands:",
            *(f"  {name:{width}}  {what}" for name, what in COMMANDS.items()),
            "",
            f"Begin with: {_EXAMPLE}",
            "Options of a command: reelbench COMMAND --help. Version: reelbench --version.",
        ]
    )


def _unknown(name: str) -> str:
    """Say what is wrong with the first argument."""
    known = ", ".join(COMMANDS)
    if not name:
        return f"no command is given; use {known}, such as: {_EXAMPLE}"
    kind = "option" if name.startswith("-") else "command"
    near = difflib.get_close_matches(name, [*COMMANDS, "--help", "--version"], n=1)
    return f"there is no {kind} {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"use one of {known}")


def _usage(message: str, command: str) -> int:
    write_line(f"error: {message.rstrip()} (all options: {command} --help)", sys.stderr)
    return ExitCode.USAGE
