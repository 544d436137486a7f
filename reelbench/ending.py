"""Signals that end a command: Ctrl-C, SIGTERM, and SIGHUP of a closed terminal, which all mean the same.

The module imports nothing that takes time, so a process handles signals before its other imports.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from reelbench.exit_code import ExitCode


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a command; SIGHUP is left out where nohup has it ignored."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hangs_up else ()))


def end_at_once() -> None:
    """End the process at the first of these signals from now on, without a traceback: there is nothing to save."""
    for number in ending_signals():
        signal.signal(number, _exit)


@contextmanager
def interrupting() -> Iterator[None]:
    """Make Ctrl-C of each of these signals while the context is entered.

    Ctrl-C keeps the handler of Python, which an event loop replaces to cancel its task.
    """
    before = {number: signal.signal(number, _interrupt) for number in ending_signals()}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(ExitCode.INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
