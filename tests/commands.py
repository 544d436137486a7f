"""Runs the project's commands: as a process, or inside the test process where only their output is checked."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import typer
from typer.testing import CliRunner

from reelbench.loadgen.record.stack import StackRecord, read_stack

ROOT = Path(__file__).parents[1]
UNIGNORED = ("env", "--default-signal=INT,TERM,HUP")
"""Begins a command line: a background job of a shell, and nohup, hand on that signals are ignored."""
DEADLINE = 120
"""Seconds for one command."""


def command(script: str, *arguments: str) -> list[str]:
    """The command line of a script."""
    return [sys.executable, str(ROOT / "scripts" / script), *arguments]


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a user does."""
    return subprocess.run(
        command(script, *arguments),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env=os.environ | environment,
    )


def invoke(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call a script's function with a command line: like `run`, but without the second that imports take.

    Raises:
        BaseException: an error that would end the script with a traceback.
    """
    app = typer.Typer(add_completion=False)
    app.command()(importlib.import_module(f"scripts.{script.removesuffix('.py')}").main)
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        result = CliRunner().invoke(app, arguments, env=environment)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess([script, *arguments], result.exit_code, result.stdout, result.stderr)


def only_run(runs: Path) -> Path:
    """The one run in a folder."""
    (found,) = runs.iterdir()
    return found


def left_behind(folder: Path) -> list[str]:
    """Remaining processes whose command line or environment names a folder of the run."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            words = [*(process.info["cmdline"] or []), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def stack_of(folder: Path) -> StackRecord:
    """The record of a run's stack."""
    found = read_stack(folder)
    assert found is not None, f"{folder} has no stack.json"
    return found
