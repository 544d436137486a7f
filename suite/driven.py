"""Load generators of a run whose load has ended: the record that they left, and how they end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.run import RunRecord, RunState, read_run, write_run
from reelbench.loadgen.record.run_files import RUN_FILE
from reelbench.stack.endpoints import LOADGEN
from reelbench.stack.processes import Child
from reelbench.suite.merging import ShareError

END_DEADLINE = 10.0
"""Seconds that a load generator has to end after its load."""


@dataclass(frozen=True, slots=True)
class Driven:
    """Load generators whose load has ended."""

    children: tuple[Child, ...]
    run: RunRecord | None
    """None when the load never began, or is not that of the whole plan."""
    after: float
    """Unix time at which the first of them ended."""
    asked: bool
    """Whether the user asked them to end."""
    error: ShareError | None = None
    """Why the shares are not a run."""

    def status(self, say: Callable[[str], None]) -> int:
        """Wait for the ends of the processes; return the worst exit code."""
        whole = self.run is not None and self.run.ended is not None
        # with a complete record, the end by a signal is that of the suite, sent after the handler was removed
        codes = [
            max(0, child.ended(END_DEADLINE)) if whole else exit_code_of(child, say, asked=self.asked)
            for child in self.children
        ]
        if self.error is None:
            return max(codes)
        if any(codes):
            return next(code for code in codes if code)
        say(f"error: {self.error}")
        return self.error.exit_code


def ended_run(
    run_dir: Path, child: Child, show: Callable[[RunRecord], None], look: Callable[[], None]
) -> RunRecord | None:
    """Wait until the load has ended, passing its record to `show` meanwhile; None when it wrote no record."""
    while child.wait(timeout=0.1) is None:
        look()
        if not (run_dir / RUN_FILE).exists():
            continue
        run = read_run(run_dir)
        show(run)
        if run.ended is not None:
            return run
    return read_run(run_dir) if (run_dir / RUN_FILE).exists() else None


def shown_name(child: Child) -> str:
    """Return what a user calls a load generator, with its number where there are several."""
    return child.name.replace(LOADGEN, "load generator")


def left_by_generator(run_dir: Path, run: RunRecord, state: RunState) -> RunRecord:
    """Write how a run ended whose load generator has ended without doing so; when it ended stays unknown."""
    scenarios = [
        msgspec.structs.replace(one, state=state) if one.state is RunState.RUNNING else one for one in run.scenarios
    ]
    run = msgspec.structs.replace(run, state=state, scenarios=scenarios)
    write_run(run_dir, run)
    return run


def exit_code_of(child: Child, say: Callable[[str], None], *, asked: bool = False) -> int:
    """Return the exit code of a load generator without a complete record; report when it was killed.

    Where the user `asked` it to end, a kill is what the user wanted.
    """
    status = child.ended(END_DEADLINE)
    if status in {-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP}:
        return ExitCode.INTERRUPTED
    if status == -signal.SIGKILL and asked:
        say(f"{shown_name(child)} did not end and was killed; what it had written is kept")
        return ExitCode.INTERRUPTED
    if status < 0:
        say(f"error: {shown_name(child)} {child.end()} before the load had ended; what it had written is kept")
        return ExitCode.INCONCLUSIVE
    return status
