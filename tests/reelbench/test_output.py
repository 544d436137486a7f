"""A reader that goes away early, and an error that no code expected."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def closed_early(*command: str, stream: str) -> tuple[int, str]:
    """Run a command whose reader of one stream is gone before it writes; return exit code and the other stream."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        check=False,
        text=True,
        stdout=write if stream == "stdout" else subprocess.PIPE,
        stderr=write if stream == "stderr" else subprocess.PIPE,
    )
    os.close(write)
    return done.returncode, done.stderr if stream == "stdout" else done.stdout


@pytest.mark.extended
@pytest.mark.parametrize(
    "words", [("--help",), ("--version",), ("run", "--help"), ("list",), ("check", "loadgen/scenarios/throughput.yaml")]
)
def test_output_that_is_closed_early_is_no_error(words: tuple[str, ...]) -> None:
    assert closed_early("-m", "reelbench", *words, stream="stdout") == (0, "")


@pytest.mark.extended
def test_messages_that_are_not_read_change_no_exit_code() -> None:
    assert closed_early("-m", "reelbench", "report", "/nowhere", stream="stderr") == (2, "")


def test_the_load_generator_keeps_its_traces_when_its_messages_are_not_read() -> None:
    code = (
        "from reelbench.loadgen.terminal import Terminal\n"
        "terminal = Terminal(stderr=True)\n"
        "for _ in range(3): terminal.print('a message')\n"
        "print('a span')"
    )
    assert closed_early("-c", code, stream="stderr") == (0, "a span\n")


def test_an_unexpected_error_has_its_own_exit_code_and_its_traceback_in_a_file(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from reelbench.suite.commands.command_line import call\n"
        "def broken() -> None:\n    return 1 / 0\n"
        "sys.exit(call('run', broken, []))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=False,
        text=True,
        capture_output=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    (kept,) = tmp_path.iterdir()
    assert done.returncode == 70
    assert done.stderr == (
        "error: a mistake in Reelbench ended this command (ZeroDivisionError); please report it with its traceback, "
        f"which is in {kept}\n"
    )
    assert kept.read_text().endswith("ZeroDivisionError: division by zero\n")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
